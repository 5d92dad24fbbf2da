"""What arithmetic is enumerated on: every number that a scale can be, times every number that a code can stand for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from .layout import Layout
from .parts import Config, Tensors

GROUP_SIZE = 32
_EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80}


@runtime_checkable
class Domain(Protocol):
    """Modules in which each of some scales meets every difference of a code and a zero point, or every code."""

    @property
    def label(self) -> str:
        """What ids call it."""
        ...

    @property
    def columns(self) -> int:
        """Inputs of a module."""
        ...

    @property
    def exhausted(self) -> tuple[str, ...]:
        """Dtypes of scales whose every finite pattern is asked."""
        ...

    @property
    def sampled(self) -> tuple[str, ...]:
        """Dtypes of scales of which the corners are asked: these, and others that are too many."""
        ...

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """All bits of scales of an exhausted dtype, as (decoded, refused)."""
        ...

    def corners(self, dtype: str) -> np.ndarray:
        """Some of those that are decoded."""
        ...

    def config(self) -> dict[str, Any]:
        """Of :meth:`pack`."""
        ...

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        """A module [len(scales), columns] of scales by their bits."""
        ...

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """The weights due of it, from the numbers and the definition."""
        ...

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        """A small module with one scale of these bits, at a place that depends on ``number``."""
        ...

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        """What is particular about its modules, beyond what can be seen of them."""
        ...


class IntegerDomain:
    """Codes and zero points of one width, laid out so that every difference of the two occurs with every scale.

    A weight depends on three scalars only, so the whole domain fits in a few matrices. One matrix holds many scales
    (one an output), the zero points (one a group) and all codes (in every group): at 4 bits all 256 pairs with every
    scale, at 8 bits all 511 differences.
    """

    sampled: tuple[str, ...] = ("float16", "bfloat16", "float32")

    def __init__(
        self,
        label: str,
        bits: int,
        config: Callable[[int, int], Config],
        pack: Callable[..., Tensors],
        layout: Layout,
        exhausted: tuple[str, ...] = ("float16", "bfloat16"),
    ) -> None:
        """``config`` and ``pack`` are those of the format, ``label`` is what ids call it at this width."""
        self.label, self.bits, self.exhausted = label, bits, exhausted
        self._config, self._pack, self._layout = config, pack, layout

    @cached_property
    def zeros(self) -> np.ndarray:
        """One a group: all of them, or of many bits both ends, with which the codes make all differences."""
        top = (1 << self.bits) - 1
        return np.arange(top + 1) if self.bits < 5 else np.array([0, top])

    @cached_property
    def codes(self) -> np.ndarray:
        """Every code in every group, the second time backwards, so that each meets two places of a word."""
        up = np.arange(1 << self.bits)
        once = np.concatenate([up, up[::-1]])
        return once if self.bits == 8 else np.tile(np.resize(once, max(GROUP_SIZE, len(once))), len(self.zeros))

    @property
    def columns(self) -> int:
        return int(self.codes.size)

    @property
    def group_size(self) -> int:
        return len(self.codes) // len(self.zeros)

    @cached_property
    def differences(self) -> np.ndarray:
        return self.codes - np.repeat(self.zeros, self.group_size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return corners(dtype)

    def config(self) -> dict[str, Any]:
        return dict(self._config(self.bits, self.group_size))

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        packed, places = self._packed(len(scales))
        stored = np.where(places < 0, 0, scales[places]).astype(scales.dtype)
        own = {name: Array(array.dtype, array.bits.copy()) for name, array in packed.items()}
        return own | {self._layout.scales: Array(dtype, stored)}

    @cache  # noqa: B019 - a domain lives as long as its format
    def _packed(self, out: int) -> tuple[dict[str, Array], np.ndarray]:
        """The module without its scales, and which of ``out`` scales stands where; -1 where a format stores 0."""
        codes = np.broadcast_to(self.codes, (out, self.codes.size))
        zeros = np.broadcast_to(self.zeros[:, None], (len(self.zeros), out))
        # Packing moves the bits of scales and leaves them as they are, so numbers in their place say where each goes.
        numbered = np.broadcast_to(np.arange(1, out + 1, dtype=np.uint32), (len(self.zeros), out))
        packed = dict(self._pack(codes, zeros, Array("float32", np.ascontiguousarray(numbered)), bits=self.bits))
        return packed, packed.pop(self._layout.scales).bits.astype(np.int64) - 1

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """The contract's weights for :meth:`pack`: a product a scale and difference, rounded once, then laid out."""
        top = (1 << self.bits) - 1
        values = Array(dtype, scales).float64()[:, None] * np.arange(-top, top + 1, dtype=np.float64)
        table = nearest(values, output or dtype)
        return Array(table.dtype, np.take(table.bits, self.differences + top, axis=1))

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        small = self.pack(dtype, np.full(32, 0x3C00 if dtype == "float16" else 0x3F80, np.uint16))
        name = self._layout.scales
        scales = small[name].bits.copy()
        # A row on and a column on from one number to the next.
        scales.flat[number * (scales.shape[1] + 1) % scales.size] = pattern
        return small | {name: Array(dtype, scales)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset({"zero-point-0"} if self._layout.wraps(self.bits) else ())


def label(slug: str, bits: int, widths: tuple[int, ...]) -> str:
    """What ids call a format at one width: its usual width, the first, goes without saying."""
    return slug if bits == widths[0] else f"{slug}-{bits}bit"


@cache
def patterns(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """All 65,536 bit patterns of a 16-bit ``dtype`` as (finite, not finite)."""
    every = np.arange(1 << 16, dtype=np.uint16)
    special = (every & _EXPONENT[dtype]) == _EXPONENT[dtype]
    return every[~special], every[special]


@cache
def corners(dtype: str) -> np.ndarray:
    """Some of the finite patterns: both signs, exponents from end to end, mantissas at their ends and in the middle."""
    width, mantissa_bits, step = {"float16": (16, 10, 1), "bfloat16": (16, 7, 9), "float32": (32, 23, 9)}[dtype]
    top = (1 << mantissa_bits) - 1
    mantissas = np.array([0, 1, 2, top // 3, top // 2 + 1, top - 1, top])
    last = (1 << (width - 1 - mantissa_bits)) - 2
    exponents = np.unique([*range(0, last, step), 1, last - 4, last - 3, last - 2, last - 1, last])
    magnitudes = ((exponents[:, None] << mantissa_bits) | mantissas).ravel()
    found = np.concatenate([magnitudes, magnitudes | (1 << (width - 1))])
    return found.astype(np.uint16 if width == 16 else np.uint32)
