"""Subjects: whatever decodes a packed module. Resolved from a string, called through one door.

A subject has ``name``, ``framework`` ("mlx", "torch", "numpy", or "array" for the suite's own arrays), ``refusals``
(exception types that mean "I do not read this"), ``info()`` and ``dequantize(quantization_config, tensors, *,
dtype=None)`` returning [out, in]. It may have ``load(checkpoint_dir)``, a mapping of weight name to array.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from .arrays import Array, dtype_of, from_framework, to_framework

CORE = "py:mlx_quant.subject:SUBJECT"
# In a checkout this package is `conformance` beside `reference`; installed, both carry the project's prefix.
ORACLE = f"py:{'mlx_quant_reference' if __package__.startswith('mlx_quant') else 'reference'}.subject:SUBJECT"


class Subject(Protocol):
    name: str
    framework: str
    refusals: tuple[type[Exception], ...]

    def info(self) -> dict[str, Any]: ...

    def dequantize(self, quantization_config: dict[str, Any], tensors: dict[str, Any], *, dtype: Any = None) -> Any: ...


class SubjectError(Exception):
    """The string names no usable subject."""


@dataclass(frozen=True)
class Refused:
    error: Exception


@dataclass(frozen=True)
class Crashed:
    error: Exception


Outcome = Array | Refused | Crashed


def resolve(name: str) -> Any:
    """The subject called ``name``: ``py:package.module:object``, or an entry point of group ``mlx_quant.subjects``."""
    kind, _, target = name.partition(":")
    try:
        if kind == "py":
            subject = pkgutil.resolve_name(target)
        else:
            found = {point.name: point for point in entry_points(group="mlx_quant.subjects")}
            if name not in found:
                raise SubjectError(f"no subject {name!r}; installed: {', '.join(sorted(found)) or 'none'}")
            subject = found[name].load()
    except (ImportError, AttributeError, ValueError) as error:
        raise SubjectError(f"{name}: {error}") from error
    missing = [part for part in ("name", "framework", "refusals", "info", "dequantize") if not hasattr(subject, part)]
    if missing:
        raise SubjectError(f"{name}: a subject needs {', '.join(missing)}")
    return subject


def decode(subject: Any, config: Mapping[str, Any], tensors: Mapping[str, Array], dtype: str | None = None) -> Outcome:
    """The dense weight, or how the subject declined. Only its declared exception types count as a refusal."""
    try:
        inputs = {name: to_framework(array, subject.framework) for name, array in tensors.items()}
        value = subject.dequantize(dict(config), inputs, dtype=dtype_of(subject.framework, dtype))
        return from_framework(value, subject.framework)
    except subject.refusals as error:
        return Refused(error)
    except Exception as error:  # the harness must outlive whatever a loader does
        return Crashed(error)


def single_threaded() -> None:
    """Keep torch to one thread: with matrices as small as ours it spends its time waiting for the others."""
    import torch

    torch.set_num_threads(1)


def load_weights(subject: Any, folder: Path) -> dict[str, Array]:
    """Every dense weight of a checkpoint folder through the subject's ``load``."""
    return {name: from_framework(value, subject.framework) for name, value in subject.load(folder).items()}
