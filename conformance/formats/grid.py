"""What the grids of formats share: sizes of matrices, and how a module gets its scales, bias and output dtype."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from ..bits.array import FLOATS, Array
from .draw import Draw
from .module import Sample
from .parts import Parts

OUT, IN = 96, 256
SCALE_KINDS = ("negative", "subnormal", "huge", "zero", "any-finite")
SHAPES = {
    "square": (64, 64),
    "groups-times-8": (64, 256),
    "one-word": (8, 32),
    "odd-width": (40, 256),
    "wide": (32, 512),
    "tall": (256, 32),
}


def variations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, dtype of the scales, options) of what every format is asked at group size 32."""
    for dtype, kind in product(FLOATS, SCALE_KINDS):
        yield f"{kind}-scales-{dtype}", dtype, {"scales": kind}
    for dtype, output in product(FLOATS, FLOATS):
        if dtype != output:
            yield f"{dtype}-to-{output}", dtype, {"scales": "any-finite", "output": output}
    for name, shape in SHAPES.items():
        yield f"shape-{name}", "float16", {"shape": shape}
    for bias in ("zero", "real"):
        yield f"bias-{bias}", "float16", {"bias": bias}


def sample(
    name: str, draw: Draw, config: dict[str, Any], tensors: dict[str, Array], parts: Parts, options: dict[str, Any]
) -> Sample:
    """The module with the bias, the output dtype and the flags that its options ask for."""
    if bias := options.get("bias"):
        kind = "zero" if bias == "zero" else "ordinary"
        tensors = tensors | {"bias": draw.scales(parts.dtype, kind, parts.shape[0])}
    flags = frozenset({f"{options['scales']}-scales"} if "scales" in options else ())
    return Sample(name, config, tensors, parts, options.get("output"), flags)
