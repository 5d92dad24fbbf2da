"""What is handed on untouched arrives as what is moved there and back, of which every step is asked for."""

from __future__ import annotations

import mlx.core as mx
import pytest

from mlx_quant.models.arrivals import arrivals
from mlx_quant.models.moves import Marked

SHAPES = {
    "a.weight": ((300, 8), mx.uint32),
    "a.scales": ((300, 2), mx.float16),
    "b.weight": ((300, 8), mx.uint32),
    "b.scales": ((300, 2), mx.float16),
    "odd.weight": ((4, 8), mx.uint32),
    "odd.scales": ((5, 2), mx.float16),
    "stack.weight": ((3, 40, 8), mx.uint32),
    "stack.scales": ((3, 40, 2), mx.float16),
    "flat.weight": ((40, 8), mx.uint32),
    "flat.bias": ((40,), mx.float16),
    "norm.weight": ((8,), mx.float16),
}
PLACES = {
    "as they were": {name: name for name in SHAPES},
    "renamed": {f"model.{name}": name for name in SHAPES},
    "at two places": {"a.weight": "a.weight", "a.scales": "a.scales", "c.weight": "a.weight", "c.scales": "a.scales"},
    "mixed up": {"a.weight": "a.weight", "a.scales": "b.scales", "b.weight": "b.weight", "b.scales": "a.scales"},
    "left out": {"a.weight": "a.weight"},
}


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_untouched_arrives_as_moved_there_and_back(places: dict[str, str]) -> None:
    marked = Marked(SHAPES)
    owners = {name: name.partition(".")[0] for name in SHAPES if name != "norm.weight"}
    untouched = {parameter: marked.arrays[name] for parameter, name in places.items()}
    moved = {parameter: mx.expand_dims(array, 0).squeeze(0) for parameter, array in untouched.items()}
    found = arrivals(marked, untouched, owners)
    assert found == arrivals(marked, moved, owners)
    if "odd.weight" in places.values():
        # Its tensors have rows of their own each.
        assert (found["stack"].kind, found["odd"].kind) == ("rows", "moved")
