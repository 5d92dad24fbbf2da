"""The grid: one small module for every option of a format, written down rather than drawn.

Every option meets every other one that it could interact with; what random draws add to this is in the generated
packs. The modules are packed from known codes, zero points and scales, and the expected bits come from those, so no
decoder stands behind them. All numbers come from SHAKE-256 of the module's name: the same for everybody, for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from ..cases.case import Case
from ..cases.question import Question, Source, flags_of
from ..formats.grid import REAL_SIZE
from ..formats.module import Sample
from ..formats.parts import Integer
from ..formats.protocol import Format
from ..formats.registry import FORMATS

CONTRACT = Source("the contract: RN(s * (q - z)) of the numbers it was packed from")
DEFINITION = Source("the definition of the format, of the numbers it was packed from")


@cache
def grid() -> tuple[Question, ...]:
    """All of it, in the order of the formats."""
    return tuple(_question(format, sample) for format in FORMATS.values() for sample in format.grid())


def real_sizes() -> Iterator[Case]:
    """Those in the shapes of real layers, the small ones first, as cases for mutants and the project's own tests."""
    found = [question for question in grid() if REAL_SIZE in question.flags]
    for question in sorted(found, key=lambda question: sum(array.bits.size for array in question.tensors.values())):
        yield Case(question.id.partition("/")[2], question.judge, question.format)


def joined() -> Iterator[Case]:
    """Those that join options which nothing else does."""
    for question in grid():
        if "-joined-" in question.id:
            yield Case(question.id.partition("/")[2], question.judge, question.format)


def _question(format: Format, sample: Sample) -> Question:
    level = "sizes" if REAL_SIZE in sample.flags else "synthetic"
    return Question(
        f"{level}/{format.SLUG}-{sample.name}",
        level,
        format.SLUG,
        sample.config,
        sample.tensors,
        flags_of(sample.config, sample.tensors, sample.output) | sample.flags,
        sample.output,
        sample.parts.dense(sample.output),
        source=CONTRACT if isinstance(sample.parts, Integer) else DEFINITION,
    )
