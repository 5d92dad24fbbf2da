"""Subjects: whatever decodes a packed module. Resolved from a string, called through one door.

A subject has ``name``, ``framework`` ("mlx", "torch", "numpy", or "array" for the suite's own arrays), ``refusals``
(exception types that mean "I do not read this"), ``info()``, and at least one of

- ``dequantize(quantization_config, tensors, *, dtype=None)`` returning [out, in];
- ``to_affine(quantization_config, tensors)`` returning MLX's packed form (see :mod:`.affine`);
- ``load(checkpoint_dir)`` returning a mapping of weight name to array, or a model: called with token ids [1, T], it
  returns logits [1, T, vocabulary].

What of these is claimed, and for which formats, ``info()`` says (see docs/subjects.md).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import FRAMEWORKS, Array, dtype_of, from_framework, to_framework

CORE = "py:mlx_quant.subject:SUBJECT"
# In a checkout this package is `conformance` beside `reference`; installed, both carry the project's prefix.
ORACLE = f"py:{'mlx_quant_reference' if __package__.startswith('mlx_quant') else 'reference'}.subject:SUBJECT"


PARTS = ("name", "framework", "refusals", "info")
ABILITIES = ("dequantize", "to_affine", "load")


class SubjectError(Exception):
    """The string names no usable subject."""


@dataclass(frozen=True)
class Refused:
    error: Exception


@dataclass(frozen=True)
class Crashed:
    error: BaseException


Outcome = Array | Refused | Crashed


def resolve(name: str) -> Any:
    """The subject called ``name``.

    ``py:package.module:object``; ``cmd:./program`` (docs/protocol.md); ``mutant:ID``, the sound reference with one
    fault of docs/mutants.md built in; or the name of an entry point of group ``mlx_quant.subjects``.
    """
    kind, _, target = name.partition(":")
    try:
        if kind == "py":
            subject = pkgutil.resolve_name(target)
        elif kind == "cmd":
            from .command import CommandError, CommandSubject

            try:
                subject = CommandSubject(target)
            except CommandError as error:
                raise SubjectError(f"{name}: {error}") from error
        elif kind == "mutant":
            from .mutants import MUTANTS
            from .mutants import Subject as Mutated

            subject = Mutated(next(mutant for mutant in MUTANTS if mutant.id == target), resolve(ORACLE))
        else:
            found = {point.name: point for point in entry_points(group="mlx_quant.subjects")}
            if name not in found:
                raise SubjectError(f"no subject {name!r}; installed: {', '.join(sorted(found)) or 'none'}")
            subject = found[name].load()
    except (ImportError, AttributeError, ValueError) as error:
        raise SubjectError(f"{name}: {error}") from error
    except StopIteration:
        raise SubjectError(f"{name}: no such mutant") from None
    if missing := [part for part in PARTS if not hasattr(subject, part)]:
        raise SubjectError(f"{name}: a subject needs {', '.join(missing)}")
    if not any(hasattr(subject, ability) for ability in ABILITIES):
        raise SubjectError(f"{name}: a subject needs one of {', '.join(ABILITIES)}")
    if subject.framework not in FRAMEWORKS:
        raise SubjectError(f"{name}: framework {subject.framework!r} is none of {', '.join(FRAMEWORKS)}")
    return subject


def decode(subject: Any, config: Mapping[str, Any], tensors: Mapping[str, Array], dtype: str | None = None) -> Outcome:
    """The dense weight, or how the subject declined. Only its declared exception types count as a refusal."""
    try:
        inputs = {name: to_framework(array, subject.framework) for name, array in tensors.items()}
        value = subject.dequantize(dict(config), inputs, dtype=dtype_of(subject.framework, dtype))
        return from_framework(value, subject.framework)
    except subject.refusals as error:
        return Refused(error)
    except (Exception, SystemExit) as error:  # the harness must outlive whatever a loader does
        return Crashed(error)


def single_threaded() -> None:
    """Keep torch to one thread: with matrices as small as ours it spends its time waiting for the others."""
    import torch

    torch.set_num_threads(1)


@dataclass(frozen=True)
class Model:
    """A loaded model that runs: token ids to logits, float32 [tokens, vocabulary]."""

    framework: str
    model: Any

    def __call__(self, tokens: list[int]) -> np.ndarray:
        ids = to_framework(
            Array.of(np.array([tokens], np.int64 if self.framework == "torch" else np.int32)), self.framework
        )
        logits = self.model(ids)
        return from_framework(getattr(logits, "logits", logits), self.framework).float64()[0].astype(np.float32)


def load(subject: Any, folder: Path) -> dict[str, Array] | Model:
    """What a subject's ``load`` makes of a checkpoint folder."""
    found = subject.load(folder)
    # A model of mlx.nn is a dict besides.
    if isinstance(found, Mapping) and not callable(found):
        return {name: from_framework(value, subject.framework) for name, value in found.items()}
    if not callable(found):
        raise TypeError(f"load returns {type(found).__name__}: neither a mapping of weights nor a model to call")
    return Model(subject.framework, found)


def load_weights(subject: Any, folder: Path) -> dict[str, Array]:
    """Every dense weight of a checkpoint folder through the subject's ``load``."""
    found = load(subject, folder)
    if isinstance(found, Model):
        raise TypeError("load returns a model, not weights")
    return found
