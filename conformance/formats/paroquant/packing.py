"""ParoQuant, packed and taken apart in NumPy: AWQ's codes, and what is done to the inputs before they meet them.

Sources: gptqmodel 7.7.0, ``utils/paroquant.py`` (``apply_paroquant_rotation_reference``) and
``quantization/paroquant/optimization.py`` (``_apply_inverse_rotation``); paroquant at commit 9e08d839,
``paroquant/export/math.py`` (``fuse_inverse_rotations``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, words
from ...bits.rounding import nearest
from ..awq_gemm.packing import interleaved, natural
from ..gptq.packing import config_of as dynamic
from ..parts import Config, Integer, Tensors
from ..spelt import written

SLUG = "paroquant"
WIDTHS = (4,)
PAIRS, ANGLES, COLUMNS = "pairs", "theta", "channel_scales"


@dataclass(frozen=True)
class Turned:
    """Codes, and how the inputs are scaled and turned: ``pairs`` [k, in / 2, 2] of numbers of inputs, their ``angles``
    [k, in / 2] and the scales ``c`` [in]. A weight is ``RN(RN32(R(s * (q - z)) * c))``, all steps in float32."""

    codes: Integer
    pairs: np.ndarray
    angles: np.ndarray
    c: np.ndarray

    def with_(self, **changes: Any) -> Turned:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def dtype(self) -> str:
        return self.codes.dtype

    def waves(self) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and sines, float32 [k, in / 2]."""
        return np.cos(self.angles).astype(np.float32), np.sin(self.angles).astype(np.float32)

    def turned_back(self, rows: np.ndarray) -> np.ndarray:
        """float32 [out, in], the last rotation first."""
        found, (cosines, sines) = rows.copy(), self.waves()
        for (first, second), cos, sin in zip(self.pairs[::-1].swapaxes(1, 2), cosines[::-1], sines[::-1], strict=True):
            a, b = found[:, first], found[:, second]
            found[:, first], found[:, second] = a * cos - b * sin, b * cos + a * sin
        return found

    def scaled(self, rows: np.ndarray, dtype: str | None) -> Array:
        """float32 times the scales of the inputs, and the last rounding."""
        return nearest((rows * self.c.astype(np.float32)).astype(np.float64), dtype or self.dtype)

    def plain(self) -> np.ndarray:
        """What turned inputs meet: float32 [out, in]."""
        return self.codes.dense("float32").bits.view(np.float32)

    def dense(self, dtype: str | None) -> Array:
        return self.scaled(self.turned_back(self.plain()), dtype)

    def step(self) -> np.ndarray:
        return self.codes.step() * np.abs(self.c)

    def triple(self) -> None:
        """A turned column is a mixture of codes."""
        return None

    def formula(self, output: int, channel: int) -> str:
        mixed = float(self.turned_back(self.plain()[output : output + 1])[0, channel])
        return f"turned(s * (q - z)) * c = {mixed!r} * {float(self.c[channel])!r}"


def config(bits: int, group_size: int, krot: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"quant_method": SLUG, "bits": bits, "group_size": group_size}
    return found if krot is None else found | {"krot": krot}


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dict(dynamic(config, module))


def group_size(config: Config, in_features: int) -> int:
    found = written(config)
    size: Any = found.get("group_size", found.get("q_group_size", 128))
    return in_features if size == -1 else int(size)


def laid(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, pairs: np.ndarray, angles: Array, columns: Array
) -> dict[str, Array]:
    """The tensors of codes [out, in], zero points and scales [groups, out], pairs [k, in / 2, 2] of numbers within a
    group, angles [k, in / 2] and scales of inputs [in]."""
    return {
        "qweight": Array.of(words(interleaved(np.ascontiguousarray(codes.T)), 4)),
        "qzeros": Array.of(words(interleaved(zeros), 4)),
        "scales": scales,
        PAIRS: Array.of(pairs.reshape(len(pairs), -1).astype(np.int16)),
        ANGLES: angles,
        COLUMNS: Array(columns.dtype, columns.bits.reshape(1, -1)),
    }


def still(in_features: int, size: int) -> tuple[np.ndarray, Array, Array]:
    """One rotation by no angle of neighbours, and scales of 1."""
    pairs = np.arange(in_features).reshape(1, -1, 2) % size
    return pairs, Array.of(np.zeros((1, in_features // 2), np.float16)), Array.of(np.ones(in_features, np.float16))


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    in_features = codes.shape[1]
    return laid(codes, zeros, scales, *still(in_features, in_features // len(zeros)))


def parts(config: Config, tensors: Tensors) -> Turned:
    """A sound module taken apart."""
    out = tensors["scales"].shape[1]
    q, z = (natural(fields(tensors[name].bits, 1, 4)[:, :out]).astype(np.int64) for name in ("qweight", "qzeros"))
    size = group_size(config, len(q))
    local = tensors[PAIRS].bits.astype(np.int64)
    places = local + np.arange(len(q)) // size * size
    return Turned(
        Integer.of(q.T, z, tensors["scales"], np.arange(len(q)) // size, 4),
        places.reshape(len(local), -1, 2),
        tensors[ANGLES].float64(),
        tensors[COLUMNS].float64().reshape(-1),
    )
