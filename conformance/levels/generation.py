"""Models by ear."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..cases.case import Case, Listed
from ..cases.verdict import Verdict
from ..corpus.fixtures import TinyCheckpoint, checkpoint, heard_checkpoints, present_checkpoints
from ..subjects.ask import load, load_weights
from ..subjects.subject import Model
from .folders.every import real_flags
from .recitation import SMOKE_WINDOWS, complaint, dense_weights, logits_complaint, run_mlx, run_model, smoke


def heard() -> Iterator[Case]:
    """Whole models by ear, as a smoke test would: the text first, then perplexity over the start of it."""
    present = set(present_checkpoints())
    for name in heard_checkpoints():
        if name in present:
            judge, flags = partial(partial, _heard, name), partial(real_flags, name)
            yield Listed(name, checkpoint(name).format.SLUG, "generation", "logits", judge, flags)


def recited() -> Iterator[Case]:
    """Every real model that is here, in mlx-lm: the whole text, and perplexity over all of it."""
    for name in present_checkpoints():
        yield Case(name, partial(_recited, name), checkpoint(name).format.SLUG, "generation", "logits")


def _recited(name: str, subject: Any, oracle: Any) -> Verdict:
    found = checkpoint(name)
    got = run_mlx(found, dense_weights(subject, oracle, found))
    return _by_ear(found, complaint(oracle, name, got))


def _heard(name: str, subject: Any, oracle: Any) -> Verdict:
    found = checkpoint(name)
    try:
        weights: Any = None
        if hasattr(subject, "load"):
            # A model may read its files for as long as it runs.
            with found.lent() as folder:
                weights = load(subject, folder)
                if isinstance(weights, Model):
                    heard = complaint(oracle, name, run_model(weights), SMOKE_WINDOWS)
                    return _by_ear(found, heard or logits_complaint(oracle, name, weights))
        else:
            weights = dense_weights(subject, oracle, found)
    except subject.refusals as error:
        return Verdict(f"refused: {error!r}", "refused")
    except (Exception, SystemExit) as error:  # whatever a loader does, the matrix goes on
        return Verdict(f"crashed: {error!r}", "crashed")
    sound = _sound_weights(oracle, name)
    if weights.keys() == sound.keys() and all(_same(weights[key], sound[key]) for key in sound):
        return _by_ear(found, "")
    return _by_ear(found, smoke(oracle, name, weights))


def _by_ear(found: TinyCheckpoint, complaint: str) -> Verdict:
    return Verdict(complaint, "heard" if complaint else "", modules=len(found.modules))


@cache
def _sound_weights(oracle: Any, name: str) -> dict[str, Array]:
    return load_weights(oracle, checkpoint(name).folder)


def _same(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and np.array_equal(one.bits, other.bits)
