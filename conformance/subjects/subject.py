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

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.frameworks import from_framework, to_framework

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
