"""The grid: one small module for every option of a format, written down rather than drawn.

Every option meets every other one that it could interact with; what random draws add to this is in the generated
packs. The modules are packed from known codes, zero points and scales, and the expected bits come from those, so no
decoder stands behind them. All numbers come from SHAKE-256 of the module's name: the same for everybody, for good.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..cases.question import Question, Source, flags_of
from ..formats.module import Sample
from ..formats.parts import Integer
from ..formats.protocol import Format
from ..formats.registry import FORMATS

CONTRACT = Source("the contract: RN(s * (q - z)) of the numbers it was packed from")
DEFINITION = Source("the definition of the format, of the numbers it was packed from")


def grid() -> Iterator[Question]:
    """All of it, in the order of the formats."""
    for format in FORMATS.values():
        for sample in format.grid():
            yield _question(format, sample)


def _question(format: Format, sample: Sample) -> Question:
    return Question(
        f"synthetic/{format.SLUG}-{sample.name}",
        "synthetic",
        format.SLUG,
        sample.config,
        sample.tensors,
        flags_of(sample.config, sample.tensors, sample.output) | sample.flags,
        sample.output,
        sample.parts.dense(sample.output),
        source=CONTRACT if isinstance(sample.parts, Integer) else DEFINITION,
    )
