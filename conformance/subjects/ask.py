"""Asking a subject: whatever it does, the harness outlives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar, cast

from ..bits.array import Array
from ..bits.frameworks import dtype_of, from_framework, to_framework
from .subject import Crashed, Decoder, Loader, Model, Outcome, Refused, Subject

Answer = TypeVar("Answer")


def decode(
    subject: Subject, config: Mapping[str, Any], tensors: Mapping[str, Array], dtype: str | None = None
) -> Outcome:
    """The dense weight, or how the subject declined. Only its declared exception types count as a refusal."""

    def answer() -> Array:
        inputs = {name: to_framework(array, subject.framework) for name, array in tensors.items()}
        return from_framework(asked(subject, deepcopy(dict(config)), inputs, dtype), subject.framework)

    return attempted(subject, answer)


def asked(subject: Subject, config: dict[str, Any], inputs: dict[str, Any], dtype: str | None = None) -> Any:
    """What the subject returns for arrays of its own framework, as it returns it."""
    return cast(Decoder, subject).dequantize(config, inputs, dtype=dtype_of(subject.framework, dtype))


def attempted(subject: Subject, call: Callable[[], Answer]) -> Answer | Refused | Crashed:
    """What ``call`` comes to, which asks the subject something."""
    try:
        return call()
    except subject.refusals as error:
        return Refused(error)
    except (Exception, SystemExit) as error:  # the harness must outlive whatever a loader does
        return Crashed(error)


def single_threaded() -> None:
    """Keep torch to one thread: with matrices as small as ours it spends its time waiting for the others."""
    import torch

    torch.set_num_threads(1)


def load(subject: Subject, folder: Path) -> dict[str, Array] | Model:
    """What a subject's ``load`` makes of a checkpoint folder."""
    found = cast(Loader, subject).load(folder)
    # A model of mlx.nn is a dict besides.
    if isinstance(found, Mapping) and not callable(found):
        return {name: from_framework(value, subject.framework) for name, value in found.items()}
    if not callable(found):
        raise TypeError(f"load returns {type(found).__name__}: neither a mapping of weights nor a model to call")
    return Model(subject.framework, found)


def load_weights(subject: Subject, folder: Path) -> dict[str, Array]:
    """Every dense weight of a checkpoint folder through the subject's ``load``."""
    found = load(subject, folder)
    if isinstance(found, Model):
        raise TypeError("load returns a model, not weights")
    return found
