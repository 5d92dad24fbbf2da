"""What the strategies of formats have in common: flags that must be drawn, and edges that must be met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from conformance.formats import strategies
from conformance.formats.divided import Divided
from conformance.formats.module import Pack
from conformance.formats.parts import Integer
from conformance.formats.registry import known, parts
from conformance.formats.scaled import Scaled

Edges = Mapping[str, Callable[[Pack], bool]]

# Of every format.
TAKEN = (
    *(f"bias-{kind}" for kind in strategies.BIASES),
    *(f"dtype-{dtype}" for dtype in (None, *strategies.SCALE_DTYPES)),
)
# Of whole numbers in groups, with and without a map of them.
INTEGERS = (
    *(f"g{size}" for size in strategies.GROUP_SIZES),
    *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
    *("square", "groups-times-8", "other"),
    *TAKEN,
)
MAPS = (*INTEGERS, *(f"g_idx-{kind}" for kind in strategies.GROUP_MAPS), "sym", "asym")
# The names that another packer of the same format gives.
_ALIASES = {"B": "qweight", "s": "scales"}


def integers(config: Any, tensors: Any) -> Integer:
    """Whole numbers of a matrix, also of one whose inputs are divided before they meet it."""
    found = parts(config, tensors)
    found = found.matrix if isinstance(found, Divided) else found
    assert isinstance(found, Integer)
    return found


def _stored(pack: Pack, field: str) -> Any:
    name = getattr(known(pack.config).LAYOUT, field)
    return pack.tensors[name if name in pack.tensors else _ALIASES[name]]


def codes(pack: Pack) -> Any:
    """As signed numbers."""
    found = _stored(pack, "codes").bits
    return found.view(np.int32) if found.dtype == np.uint32 else found


def _scales(pack: Pack) -> Any:
    return _stored(pack, "scales")


def _zeros(pack: Pack) -> Any:
    return integers(pack.config, pack.tensors).z


def _ones(pack: Pack) -> bool:
    bits = integers(pack.config, pack.tensors).bits
    return (1 << bits) - 1 in known(pack.config).LAYOUT.stored_zero(_zeros(pack), bits)


def triple(pack: Pack) -> Any:
    whole = parts(pack.config, pack.tensors)
    found = whole.matrix if isinstance(whole, Divided) else whole.triple()
    assert found is not None
    return found


SCALES: Edges = {
    "negative scales": lambda pack: bool((_scales(pack).float64() < 0).any()),
    "scales of zero": lambda pack: bool((_scales(pack).float64() == 0).any()),
    "a negative zero": lambda pack: bool(((_scales(pack).float64() == 0) & (_scales(pack).bits != 0)).any()),
}
GROUPS: Edges = {
    "negative words": lambda pack: bool((codes(pack) < 0).any()),
    "one group": lambda pack: len(triple(pack).s) == 1,
    "several groups": lambda pack: len(triple(pack).s) > 1,
}
ZEROS: Edges = {
    "a zero point of 0": lambda pack: 0 in _zeros(pack),
    "a stored zero point of all ones": _ones,
}
WORDS: Edges = {**SCALES, **GROUPS, **ZEROS}
# Where nothing is stored for zero points, or floats are.
OFFSETS: Edges = {
    **SCALES,
    **GROUPS,
    "an offset above zero": lambda pack: bool((triple(pack).offsets() > 0).any()),
    "an offset below zero": lambda pack: bool((triple(pack).offsets() < 0).any()),
}
SQUARE: Edges = {"qzeros square": lambda pack: pack.tensors["qzeros"].shape[0] == pack.tensors["qzeros"].shape[1] > 1}


def blocks(pack: Pack) -> Any:
    found = parts(pack.config, pack.tensors)
    assert isinstance(found, Scaled)
    return found


FLOATS: Edges = {
    "negative scales": lambda pack: bool((blocks(pack).s < 0).any()),
    "scales of zero": lambda pack: 0 in blocks(pack).s,
    "the least power of two": lambda pack: 2.0**-127 in blocks(pack).s,
    "one block": lambda pack: blocks(pack).s.size == 1,
    "several blocks each way": lambda pack: min(blocks(pack).s.shape) > 1,
    "rows cut short": lambda pack: bool(blocks(pack).shape[-2] % blocks(pack).block[0]),
    "columns cut short": lambda pack: bool(blocks(pack).shape[-1] % blocks(pack).block[1]),
    "minus zero": lambda pack: bool(
        (np.signbit(blocks(pack).values) & (blocks(pack).values == 0))[blocks(pack).q].any()
    ),
    "a stack of experts": lambda pack: len(blocks(pack).shape) == 3,
}
