"""Arithmetic by enumeration: every finite float16 and bfloat16 scale times every ``q - z`` of 4 bits.

A weight depends on three scalars only, so the whole domain fits in a few matrices. One matrix holds many scales (one an
output), all 16 zero points (one a group) and all 16 codes (in every group), that is all 256 pairs with every scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..cases.case import Case
from ..cases.question import with_steps
from ..cases.verdict import Verdict, compared, declined, together
from ..formats.registry import FORMATS, config, tensors
from ..subjects.ask import decode

SCALE_DTYPES = ("float16", "bfloat16")
OUTPUT_DTYPES = (None, "float32", "float16", "bfloat16")
GROUP_SIZE = 32
PAIRS = 16 * 16
# Outputs a matrix: 2**13 rows of 512 weights keep every temporary of a decoder and of this module small.
BLOCK = 1 << 13

_EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80}
# Every code twice a group, the second time backwards, so that each meets two places of a word.
_CODES = np.tile(np.concatenate([np.arange(16), np.arange(15, -1, -1)]), 16)
_ZEROS = np.arange(16)
_DIFFERENCES = _CODES - np.repeat(_ZEROS, GROUP_SIZE)


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


def pack(format: str, dtype: str, scales: np.ndarray) -> dict[str, Array]:
    """A module [len(scales), 512] in which each scale meets every pair of code and zero point."""
    out = len(scales)
    codes = np.broadcast_to(_CODES, (out, _CODES.size))
    zeros = np.broadcast_to(_ZEROS[:, None], (16, out))
    rows = np.broadcast_to(scales, (16, out))
    return tensors(format, codes, zeros, Array(dtype, np.ascontiguousarray(rows)))


def expected(dtype: str, scales: np.ndarray, output: str | None) -> Array:
    """The contract's weights for :func:`pack`: 31 products a scale, rounded once, then laid out."""
    values = Array(dtype, scales).float64()[:, None] * np.arange(-15, 16, dtype=np.float64)
    table = nearest(values, output or dtype)
    return Array(table.dtype, table.bits[:, _DIFFERENCES + 15])


def _judge(format: str, dtype: str, scales: np.ndarray, output: str | None, subject: Any, _: Any) -> Verdict:
    verdicts = []
    for start in range(0, len(scales), BLOCK):
        block = scales[start : start + BLOCK]
        # AWQ packs eight outputs a word.
        block = np.resize(block, -(-len(block) // 8) * 8)
        settings, packed = config(format, GROUP_SIZE), pack(format, dtype, block)
        outcome, due = decode(subject, settings, packed, output), expected(dtype, block, output)
        verdicts.append(with_steps(compared(outcome, due), outcome, due, settings, packed))
    return together(f"{format}, {dtype} scales, {output or 'their'} dtype", verdicts)


def enumeration() -> Iterator[Case]:
    """Every finite pattern, in both formats and every dtype of the result."""
    for format in FORMATS:
        for dtype in SCALE_DTYPES:
            for output in OUTPUT_DTYPES:
                case = partial(_judge, format, dtype, patterns(dtype)[0], output)
                yield Case(f"{format}-{dtype}-to-{output or 'its-own'}", case)


def samples() -> Iterator[Case]:
    """The corners of the same, small enough for a hundred mutants, and corners of float32, whose 2**32 are too many."""
    for format in FORMATS:
        for dtype in (*SCALE_DTYPES, "float32"):
            for output in OUTPUT_DTYPES:
                case = partial(_judge, format, dtype, corners(dtype), output)
                yield Case(f"corners-{format}-{dtype}-to-{output or 'its-own'}", case)


def _judge_refused(format: str, dtype: str, bits: np.ndarray, subject: Any, _: Any) -> Verdict:
    verdicts = []
    small = pack(format, dtype, np.full(8, 0x3C00 if dtype == "float16" else 0x3F80, np.uint16))
    for number, pattern in enumerate(bits):
        scales = small["scales"].bits.copy()
        scales[number % 16, number % 8] = pattern
        given = small | {"scales": Array(dtype, scales)}
        verdicts.append(declined(decode(subject, config(format, GROUP_SIZE), given), "non-finite-scales"))
    return together(f"{format}, {dtype}", verdicts)


def non_finite(every: int = 1) -> Iterator[Case]:
    """Every infinity and every NaN (or one of ``every``), alone among ones, must be refused."""
    for format in FORMATS:
        for dtype in SCALE_DTYPES:
            chosen = patterns(dtype)[1][::every]
            yield Case(f"{format}-{dtype}-not-finite", partial(_judge_refused, format, dtype, chosen))
