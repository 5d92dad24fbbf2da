"""Where one module of AQLM is stored in two ways, and sums on which readers part (reasons: docs/policies.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import CODES, COLUMNS, LEFT_OUT, METHOD, NUMBER, ROWS, config, laid, parts

SLUG = "aqlm"


def spellings() -> Iterator[Spelling]:
    draw = Draw(f"{SLUG}-spellings")
    plain, codes = config(4), draw.below(16, 24, 5, 1)
    tensors = laid(codes, draw.scales("float16", "any-finite", 1, 16, 1, 8), draw.scales("float16", "subnormal", 24), 4)

    def spelling(id: str, config: Config, own: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", dict(config), dict(own), plain, tensors)

    for key in (NUMBER, ROWS, COLUMNS, LEFT_OUT):
        yield spelling(f"no-{key}", {name: value for name, value in plain.items() if name != key})
    yield spelling("everything-left-out", plain | {LEFT_OUT: ["weight", ""]})
    # Codes are read modulo 2**4, whatever lies above.
    yield spelling("codes-from-0", plain, tensors | {CODES: Array.of(codes.astype(np.int8))})
    above = (codes + 16 * draw.below(16, *codes.shape)).astype(np.uint8).view(np.int8)
    yield spelling("codes-with-other-bits", plain, tensors | {CODES: Array.of(above)})
    wide = laid(draw.below(1 << 16, 24, 5, 1), _few(draw), draw.scales("float16", "ordinary", 24), 16)
    yield Spelling(f"{SLUG}-bare", f"{SLUG}-bare", {"quant_method": METHOD}, wide, config(16), wide)
    yield from nulls(SLUG, plain, tensors, (LEFT_OUT,))
    yield from upper_case(SLUG, plain, tensors, {"quant_method": METHOD})


def _few(draw: Draw) -> Array:
    """A codebook of 65,536 entries, of which few are different: it is small where it is packed up."""
    few = draw.scales("float16", "ordinary", 97, 8)
    return Array("float16", np.resize(few.bits, (1, 1 << 16, 1, 8)))


def disputed(flags: frozenset[str]) -> bool:
    """Sums in the middle between two bfloat16, of which PyTorch's product for CPUs takes the one further from zero."""
    return "sums-between-two" in flags


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    """What PyTorch reads, but for those sums, which are rounded to the even one as everywhere else."""
    found, own = upstream["python"], parts(config, tensors)
    middle = own.matrix(own.sums().view(np.uint32) & 0xFFFF) == 0x8000
    return Array(found.dtype, np.where(middle, own.dense(None).bits, found.bits))
