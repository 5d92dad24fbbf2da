"""The grid: one small module for every option of a format, written down rather than drawn.

Every option meets every other one that it could interact with; what random draws add to this is in the generated
packs. The modules are packed from known codes, zero points and scales, and the expected bits come from those, so no
decoder stands behind them. All numbers come from SHAKE-256 of the module's name: the same for everybody, for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

from ..cases.case import Case
from ..cases.question import Later, Question, Source, flags_of
from ..formats.module import Unmade
from ..formats.parts import Integer
from ..formats.protocol import Format
from ..formats.registry import FORMATS

CONTRACT = Source("the contract: RN(s * (q - z)) of the numbers it was packed from")
DEFINITION = Source("the definition of the format, of the numbers it was packed from")


@cache
def grid() -> tuple[Question, ...]:
    """All of it, in the order of the formats."""
    return tuple(_later(format, unmade) for format in FORMATS.values() for unmade in format.grid())


def real_sizes(small_first: bool = False) -> Iterator[Case]:
    """Those in the shapes of real layers, as cases for mutants, who want the small ones first, and the project's tests.

    Which are small is seen when they are made.
    """
    found = [question for question in grid() if question.level == "sizes"]
    if small_first:
        found.sort(key=lambda question: sum(array.bits.size for array in question.tensors.values()))
    for question in found:
        yield Case(question.id.partition("/")[2], question.judge, question.format)


def joined() -> Iterator[Case]:
    """Those that join options which nothing else does."""
    for question in grid():
        if "-joined-" in question.id:
            yield Case(question.id.partition("/")[2], question.judge, question.format)


def _later(format: Format, unmade: Unmade) -> Question:
    level = "sizes" if unmade.real_size else "synthetic"
    id = f"{level}/{format.SLUG}-{unmade.name}"
    return Later(id, level, format.SLUG, unmade.output, partial(_contents, unmade))


def _contents(unmade: Unmade) -> dict[str, Any]:
    sample = unmade.sample
    return {
        "config": sample.config,
        "tensors": sample.tensors,
        "flags": flags_of(sample.config, sample.tensors, sample.output) | sample.flags,
        "expected": partial(sample.parts.dense, sample.output),
        "source": CONTRACT if isinstance(sample.parts, Integer) else DEFINITION,
    }
