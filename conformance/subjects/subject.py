"""Subjects: whatever decodes a packed module. Resolved from a string, called through one door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..bits.array import Array
from ..bits.frameworks import from_framework, to_framework

PARTS = ("name", "framework", "refusals", "info")
ABILITIES = ("dequantize", "to_affine", "load")


class Subject(Protocol):
    """What is under test, or what that is held to; besides, at least one of :class:`Decoder`, :class:`Repacker` and
    :class:`Loader`.

    Attributes:
        name: for people.
        framework: of the arrays it takes and returns: ``"mlx"``, ``"torch"``, ``"numpy"``, or ``"array"`` for the
            suite's own.
        refusals: exception types that mean "I do not read this".
    """

    name: str
    framework: str
    refusals: tuple[type[Exception], ...]

    def info(self) -> dict[str, Any]:
        """Versions, and what is claimed of which formats; JSON (docs/subjects.md)."""


class Decoder(Subject, Protocol):
    """Decodes one module."""

    def dequantize(self, quantization_config: Mapping[str, Any], tensors: Mapping[str, Any], *, dtype: Any) -> Any:
        """The dense weight [out, in]."""


class Repacker(Subject, Protocol):
    """Brings one module into MLX's packed form."""

    def to_affine(self, quantization_config: Mapping[str, Any], tensors: Mapping[str, Any]) -> Any:
        """An object or mapping with ``weight``, ``scales``, ``biases``, ``group_size``, ``bits``, ``permutation``."""


class Loader(Subject, Protocol):
    """Loads whole checkpoints."""

    def load(self, checkpoint_dir: Path) -> Any:
        """A mapping of weight name to array; or a model, which makes logits [1, T, vocabulary] of token ids [1, T]."""


class Opener(Subject, Protocol):
    """Decodes the modules of a checkpoint one at a time."""

    def open(self, checkpoint_dir: Path) -> Mapping[str, Any]:
        """``<module>.weight`` to the dense weight, decoded when it is asked for."""


class SubjectError(Exception):
    """The string names no usable subject."""


@dataclass(frozen=True)
class Refused:
    error: Exception


@dataclass(frozen=True)
class Crashed:
    error: BaseException


Outcome = Array | Refused | Crashed


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


class Surveyor(Subject, Protocol):
    """Says what repos of the Hub are, from their configurations and headers."""

    def survey(self, repo_id: str, revision: str | None = None, **options: Any) -> Iterator[dict[str, Any]]:
        """Facts by name, a few at a time; see ``mlx_quant/checkpoint/survey.py``."""
