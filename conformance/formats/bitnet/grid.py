"""The grid of BitNet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...bits.array import FLOATS
from .. import grid as common
from ..covering import rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import DIVIDED, FORMS, ZERO, described, pack, parts

SMOKE = DIVIDED
SIZES = ((96, 256), (20, 33), (4, 64), (64, 4))
OPTIONS: dict[str, tuple[Any, ...]] = {
    "form": FORMS,
    "dtype": ("bfloat16", "float16", "float32"),
    "shape": SIZES,
    "codes": (3, 4),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "bias": (None, "zero", "real"),
    "output": (None, "float16", "bfloat16"),
}
THREEFOLD = ("form", "dtype", "scales", "output")
APART: tuple[Any, ...] = (
    ({"form": DIVIDED, "scales": "zero"}, "nothing is divided by zero"),
    ({"form": DIVIDED, "scales": "subnormal"}, "one over them is beyond their dtype, and no scale of an affine form"),
    ({"form": DIVIDED, "scales": "any-finite"}, "one over some is beyond their dtype"),
)


def grid() -> Iterator[Unmade]:
    for form in FORMS:
        yield _sample(form, form=form)
        for dtype in FLOATS:
            yield _sample(f"{form}-of-{dtype}", form=form, dtype=dtype, codes=4)
            for output in FLOATS:
                if dtype != output:
                    yield _sample(f"{form}-{dtype}-to-{output}", form=form, dtype=dtype, output=output, codes=4)
    for name, shape in common.SHAPES.items():
        yield _sample(f"shape-{name}", shape=shape)
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(common.combined(row | {"codes": f"{row['codes']}-codes"}), **row)
    for number, (name, (shape, _)) in enumerate(common.REAL_SIZES.items()):
        yield _sample(name, form=FORMS[number % 2], shape=shape, real_size=True)


@unmade
def _sample(name: str, *, form: str = DIVIDED, dtype: str = "bfloat16", codes: int = 3, **options: Any) -> Sample:
    draw, shape = Draw(f"bitnet-{name}"), options.get("shape", (common.OUT, common.IN))
    q = draw.below(codes, *shape)
    tensors = pack(q, q * 0 + ZERO, draw.scales(dtype, options.get("scales", "ordinary"), 1))
    config = described(form)
    return common.sample(name, draw, config, tensors, parts(config, tensors), options)
