"""Arithmetic by enumeration: every number that a scale can be times every number that a code can stand for.

What that is, and how it is laid out in a few matrices, is the format's to say (``conformance/formats/domain.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from ..cases.case import Case, Listed
from ..cases.question import flags_of, with_steps
from ..cases.verdict import Verdict, compared, declined, together
from ..formats.dialects import spoken
from ..formats.domain import Domain
from ..formats.protocol import Format
from ..formats.registry import FORMATS
from ..subjects.ask import decode
from ..subjects.subject import Subject

OUTPUT_DTYPES = (None, "float32", "float16", "bfloat16")
# Outputs a matrix: 2**11 rows of 512 weights keep every temporary of a decoder and of this module small.
BLOCK = 1 << 11


def domains() -> tuple[tuple[Format, Domain], ...]:
    """What each format is asked, all its widths."""
    return tuple((format, domain) for format in FORMATS.values() for domain in format.domains())


def aligned(scales: np.ndarray) -> np.ndarray:
    """Some of them once more, so that outputs fill whole words of any width."""
    return np.resize(scales, -(-len(scales) // 32) * 32)


def _judge(domain: Domain, dtype: str, scales: np.ndarray, output: str | None, subject: Subject, _: Subject) -> Verdict:
    verdicts = []
    # A matrix of some formats has one scale.
    step = getattr(domain, "scales_at_once", max(BLOCK * 512 // domain.columns // 32, 1) * 32)
    for start in range(0, len(scales), step):
        block = aligned(scales[start : start + step])
        settings, packed = domain.config(), domain.pack(dtype, block)
        outcome, due = decode(subject, settings, packed, output), domain.expected(dtype, block, output)
        verdicts.append(with_steps(compared(outcome, due), outcome, due, settings, packed))
    return together(f"{domain.label}, {dtype} scales, {output or 'their'} dtype", verdicts)


def enumeration() -> Iterator[Case]:
    """Every pattern that is decoded, in every format, at every width and in every dtype of the result."""
    for format, domain in domains():
        for dtype, output in product(domain.exhausted, OUTPUT_DTYPES):
            judge = partial(_judge, domain, dtype, domain.patterns(dtype)[0], output)
            id = f"{domain.label}-{dtype}-to-{output or 'its-own'}"
            yield _case(id, judge, format, partial(flags, domain, dtype, output))


def samples() -> Iterator[Case]:
    """The corners of the same, small enough for a hundred mutants, and of dtypes that have too many patterns."""
    for format, domain in domains():
        for dtype, output in product(domain.sampled, OUTPUT_DTYPES):
            judge = partial(_judge, domain, dtype, domain.corners(dtype), output)
            id = f"corners-{domain.label}-{dtype}-to-{output or 'its-own'}"
            yield _case(id, judge, format, partial(flags, domain, dtype, output))


def flags(domain: Domain, dtype: str, output: str | None) -> frozenset[str]:
    """What is particular about a domain's modules with scales of one dtype."""
    one = domain.pack(dtype, aligned(domain.corners(dtype)[:1]))
    return flags_of(domain.config(), one, output) | domain.flags(dtype, output)


def _judge_refused(domain: Domain, dtype: str, bits: np.ndarray, subject: Subject, _: Subject) -> Verdict:
    verdicts = []
    for number, pattern in enumerate(bits):
        given = domain.spoilt(dtype, number, int(pattern))
        verdicts.append(declined(decode(subject, domain.config(), given), "non-finite-scales"))
    return together(f"{domain.label}, {dtype}", verdicts)


def non_finite(every: int = 1) -> Iterator[Case]:
    """Every infinity and every NaN (or one of ``every``), alone among ones, must be refused at the usual width."""
    for format in FORMATS.values():
        for domain in list(format.domains())[:1]:
            for dtype in domain.exhausted:
                judge = partial(_judge_refused, domain, dtype, domain.patterns(dtype)[1][::every])
                id = f"{domain.label}-{dtype}-not-finite"
                yield _case(id, judge, format, partial(_named, format, domain), declined=True)


def _named(format: Format, domain: Domain) -> frozenset[str]:
    return frozenset({format.SLUG}) | spoken(domain.config())


def _case(id: str, judge: Any, format: Format, flags: Callable[[], frozenset[str]], declined: bool = False) -> Case:
    return Listed(id, format.SLUG, "arithmetic", "dense", lambda: judge, flags, declined)
