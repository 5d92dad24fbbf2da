"""Checkpoint folders: written to disk, given to a subject's ``load``, and held to weights known beforehand."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ...bits.array import Array
from ...cases.verdict import Verdict, asked_of, compared, together
from ...formats.folder import Folder
from ...subjects.ask import load
from ...subjects.subject import Model
from ...subjects.surroundings import left, surrounded

TOKENS = [1, 2, 3]


def judge(folder: Folder, subject: Any, oracle: Any) -> Verdict:
    """Load the folder; every file must be afterwards what it was, and nothing left behind, whatever happens."""
    with tempfile.TemporaryDirectory() as parent:
        (around := Path(parent, "around")).mkdir()
        (inside := Path(parent, "inside")).mkdir()
        written = folder.write(inside)
        before = _contents(inside)
        with surrounded(around):
            verdict = _verdict(folder, written, subject, oracle)
        if verdict.complaint:
            return verdict
        if found := left(around):
            return Verdict(f"left behind: {', '.join(found)}", "accepted")
        after = _contents(inside)
        changed = sorted(name for name in before | after if before.get(name) != after.get(name))
        return Verdict(f"the checkpoint's folder was changed: {', '.join(changed)}", "accepted") if changed else verdict


def _contents(folder: Path) -> dict[str, str]:
    """Path to digest of every file, or where it links to."""
    return {
        file.relative_to(folder).as_posix(): os.readlink(file)
        if file.is_symlink()
        else sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_symlink() or file.is_file()
    }


def _verdict(folder: Folder, written: Path, subject: Any, oracle: Any) -> Verdict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = load(subject, written)
            # A model cannot be taken apart; that it runs is all there is to see of a sound folder.
            logits = found(TOKENS) if isinstance(found, Model) else None
    except subject.refusals as error:
        if folder.code is None:
            return Verdict(f"refused: {error!r}", "refused")
        code = getattr(error, "code", folder.code)
        if code != folder.code:
            return Verdict(f"refused with the wrong code, not {folder.code}: {error}", "refused")
        return Verdict()
    except (Exception, SystemExit) as error:  # the harness must outlive whatever a loader does
        return Verdict(f"crashed: {error!r}", "crashed")
    if folder.code is not None and not folder.either:
        return Verdict(f"accepted, but {folder.code}", "accepted")
    if isinstance(found, Model):
        runs = logits is not None and len(logits) == len(TOKENS) and bool(np.isfinite(logits).all())
        return Verdict(note="runs; its weights are not seen") if runs else Verdict("logits are no numbers", "heard")
    return _weights(found, expected(folder, oracle), folder.optional)


def expected(folder: Folder, oracle: Any) -> dict[str, Array]:
    """Every weight of the folder; packed modules are decoded by the oracle, one at a time."""
    return folder.plain | {
        f"{name}.weight": asked_of(oracle, packed.config, packed.tensors) for name, packed in folder.packed.items()
    }


def _weights(got: Mapping[str, Array], sound: Mapping[str, Array], optional: frozenset[str]) -> Verdict:
    required = sound.keys() - optional
    if missing := sorted(required - got.keys()):
        return Verdict(f"lacks {', '.join(missing[:3])} ({len(missing)} in all)", "bits")
    if extra := sorted(got.keys() - sound.keys()):
        return Verdict(f"has {', '.join(extra[:3])} ({len(extra)} in all), which is no weight of it", "bits")
    verdicts = [(name, compared(value, sound[name])) for name, value in sorted(got.items())]
    worst = next((name for name, verdict in verdicts if verdict.complaint), "")
    return together(worst, [verdict for _, verdict in verdicts])
