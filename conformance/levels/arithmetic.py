"""Arithmetic by enumeration: every finite float16 and bfloat16 scale times every ``q - z``, at every width.

A weight depends on three scalars only, so the whole domain fits in a few matrices. One matrix holds many scales (one an
output), the zero points (one a group) and all codes (in every group): at 4 bits all 256 pairs with every scale, at 8
bits all 511 differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import product
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..cases.case import Case
from ..cases.question import flags_of, with_steps
from ..cases.verdict import Verdict, compared, declined, together
from ..formats.protocol import Format
from ..formats.registry import FORMATS, label
from ..subjects.ask import decode
from ..subjects.subject import Subject

SCALE_DTYPES = ("float16", "bfloat16")
OUTPUT_DTYPES = (None, "float32", "float16", "bfloat16")
GROUP_SIZE = 32
# Outputs a matrix: 2**13 rows of 512 weights keep every temporary of a decoder and of this module small.
BLOCK = 1 << 13

_EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80}


@dataclass(frozen=True)
class Domain:
    """Codes and zero points of one width, laid out so that every difference of the two occurs with every scale."""

    format: Format
    bits: int

    @property
    def label(self) -> str:
        return label(self.format, self.bits)

    @cached_property
    def zeros(self) -> np.ndarray:
        """One a group: all of them, or of 8 bits both ends, with which the codes make all differences."""
        top = (1 << self.bits) - 1
        return np.arange(top + 1) if self.bits < 8 else np.array([0, top])

    @cached_property
    def codes(self) -> np.ndarray:
        """Every code in every group, the second time backwards, so that each meets two places of a word."""
        up = np.arange(1 << self.bits)
        once = np.concatenate([up, up[::-1]])
        return once if self.bits == 8 else np.tile(np.resize(once, max(GROUP_SIZE, len(once))), len(self.zeros))

    @property
    def group_size(self) -> int:
        return len(self.codes) // len(self.zeros)

    @cached_property
    def differences(self) -> np.ndarray:
        return self.codes - np.repeat(self.zeros, self.group_size)

    def config(self) -> dict[str, Any]:
        return self.format.config(self.bits, self.group_size)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        """A module [len(scales), in] in which each scale meets every difference."""
        out = len(scales)
        codes = np.broadcast_to(self.codes, (out, self.codes.size))
        zeros = np.broadcast_to(self.zeros[:, None], (len(self.zeros), out))
        rows = np.broadcast_to(scales, (len(self.zeros), out))
        return self.format.pack(codes, zeros, Array(dtype, np.ascontiguousarray(rows)), bits=self.bits)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """The contract's weights for :meth:`pack`: a product a scale and difference, rounded once, then laid out."""
        top = (1 << self.bits) - 1
        values = Array(dtype, scales).float64()[:, None] * np.arange(-top, top + 1, dtype=np.float64)
        table = nearest(values, output or dtype)
        return Array(table.dtype, table.bits[:, self.differences + top])

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        one = self.pack(dtype, np.full(32, 0x3C00, np.uint32 if dtype == "float32" else np.uint16))
        flags = flags_of(self.config(), one, output)
        wraps = int(self.format.stored(np.array(0), self.bits)) != 0
        return flags | {"zero-point-0"} if wraps else flags


def domains() -> tuple[Domain, ...]:
    return tuple(Domain(format, bits) for format in FORMATS.values() for bits in format.WIDTHS)


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


def aligned(scales: np.ndarray) -> np.ndarray:
    """Some of them once more, so that outputs fill whole words of any width."""
    return np.resize(scales, -(-len(scales) // 32) * 32)


def _judge(domain: Domain, dtype: str, scales: np.ndarray, output: str | None, subject: Subject, _: Subject) -> Verdict:
    verdicts = []
    step = BLOCK * 512 // domain.codes.size // 32 * 32
    for start in range(0, len(scales), step):
        block = aligned(scales[start : start + step])
        settings, packed = domain.config(), domain.pack(dtype, block)
        outcome, due = decode(subject, settings, packed, output), domain.expected(dtype, block, output)
        verdicts.append(with_steps(compared(outcome, due), outcome, due, settings, packed))
    return together(f"{domain.label}, {dtype} scales, {output or 'their'} dtype", verdicts)


def enumeration() -> Iterator[Case]:
    """Every finite pattern, in every format, at every width and in every dtype of the result."""
    for domain in domains():
        for dtype, output in product(SCALE_DTYPES, OUTPUT_DTYPES):
            judge = partial(_judge, domain, dtype, patterns(dtype)[0], output)
            yield _case(f"{domain.label}-{dtype}-to-{output or 'its-own'}", judge, domain, domain.flags(dtype, output))


def samples() -> Iterator[Case]:
    """The corners of the same, small enough for a hundred mutants, and corners of float32, whose 2**32 are too many."""
    for domain in domains():
        for dtype, output in product((*SCALE_DTYPES, "float32"), OUTPUT_DTYPES):
            judge = partial(_judge, domain, dtype, corners(dtype), output)
            id = f"corners-{domain.label}-{dtype}-to-{output or 'its-own'}"
            yield _case(id, judge, domain, domain.flags(dtype, output))


def _judge_refused(domain: Domain, dtype: str, bits: np.ndarray, subject: Subject, _: Subject) -> Verdict:
    verdicts = []
    small = domain.pack(dtype, np.full(32, 0x3C00 if dtype == "float16" else 0x3F80, np.uint16))
    groups = len(domain.zeros)
    for number, pattern in enumerate(bits):
        scales = small["scales"].bits.copy()
        scales[number % groups, number % 32] = pattern
        given = small | {"scales": Array(dtype, scales)}
        verdicts.append(declined(decode(subject, domain.config(), given), "non-finite-scales"))
    return together(f"{domain.label}, {dtype}", verdicts)


def non_finite(every: int = 1) -> Iterator[Case]:
    """Every infinity and every NaN (or one of ``every``), alone among ones, must be refused at the usual width."""
    for format in FORMATS.values():
        domain = Domain(format, format.WIDTHS[0])
        for dtype in SCALE_DTYPES:
            judge = partial(_judge_refused, domain, dtype, patterns(dtype)[1][::every])
            yield _case(f"{domain.label}-{dtype}-not-finite", judge, domain, frozenset({format.SLUG}), declined=True)


def _case(id: str, judge: Any, domain: Domain, flags: frozenset[str], declined: bool = False) -> Case:
    return Case(id, judge, domain.format.SLUG, "arithmetic", flags=flags, declined=declined)
