"""Origins of entries, read off MLX's graph, against the same moves done on numbers."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant.models.moves import Marked, Origin, unevaluated

Arrays = dict[str, mx.array]
SHAPES = {
    "a": ((4, 6), mx.float16),
    "b": ((4, 6), mx.float16),
    "scalar": ((), mx.float32),
    "long": ((4, 6), mx.int64),
}
NUMBERS = {
    name: np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape) + 1000 * number
    for number, (name, (shape, _)) in enumerate(SHAPES.items())
}

MOVES: dict[str, Callable[[Arrays], mx.array]] = {
    "renamed": lambda t: t["a"],
    "stacked-swapped-cut": lambda t: mx.stack([t["a"], t["b"]]).swapaxes(-1, -2).reshape(2, 2, 3, 4)[:, :1],
    "split": lambda t: mx.split(t["b"], [1, 4], axis=1)[1],
    "reversed": lambda t: t["a"].T[::-1],
    "unflattened": lambda t: mx.unflatten(t["a"], 1, (2, 3)),
    "flattened": lambda t: t["a"].flatten(),
    "repeated": lambda t: mx.repeat(t["a"], 2, axis=0),
    "rolled": lambda t: mx.roll(t["b"], 1, 0),
    "contiguous": lambda t: mx.contiguous(t["a"].T),
    "scalar": lambda t: t["scalar"],
    "scalar-with-an-axis": lambda t: t["scalar"][None],
    "marks-of-their-own-dtype": lambda t: t["long"][1:],
    "joined": lambda t: mx.concatenate([t["a"], t["b"]], axis=1).T,
    "strided": lambda t: mx.moveaxis(mx.stack([t["a"], t["b"]]), 0, 2)[1:3:2, ::-2],
    "widened": lambda t: t["a"].astype(mx.float32),
    "tiled": lambda t: mx.tile(t["a"], (2, 1)),
    "taken": lambda t: t["a"][mx.array([3, 1, 1])],
    "taken-in-the-middle": lambda t: mx.take(mx.stack([t["a"], t["b"]]), mx.array([2, 0]), axis=1),
    "unstacked": lambda t: mx.stack([t["a"], t["b"]])[0],
}
CHANGES: dict[str, Callable[[Arrays], mx.array]] = {
    "Add": lambda t: t["a"] + 1,
    "Quantize": lambda t: mx.quantize(mx.concatenate([t["a"]] * 16, axis=1)[:, :32], group_size=32)[0],
    "View": lambda t: t["a"].view(mx.uint16),
    "AsType": lambda t: t["scalar"].astype(mx.float16),
    "Gather": lambda t: t["a"][t["long"][0]],
    "Multiply": lambda t: mx.concatenate([t["b"], t["a"] * 2]),
}


@pytest.mark.parametrize("name", MOVES)
def test_every_entry_has_the_origin_that_numbers_show(name: str) -> None:
    move, marked = MOVES[name], Marked(SHAPES)
    with unevaluated():
        array = move(marked.arrays)
    expected = np.array(move({key: mx.array(value) for key, value in NUMBERS.items()}))
    positions = np.zeros((1, 0), np.int64)
    if array.ndim:
        positions = np.stack(np.unravel_index(np.arange(array.size), array.shape), axis=-1)
    origin = Origin(array)
    assert not origin.changed
    tensors, offsets = origin.came(positions)
    pairs = zip(tensors, offsets, strict=True)
    found = [NUMBERS[marked.names[tensor]].ravel()[offset] for tensor, offset in pairs]
    np.testing.assert_array_equal(np.array(found).reshape(array.shape), expected)
    assert {marked.names[tensor] for tensor in origin.tensors} >= {marked.names[tensor] for tensor in tensors}


@pytest.mark.parametrize("name", CHANGES)
def test_arithmetic_is_no_move(name: str) -> None:
    marked = Marked(SHAPES)
    origin = Origin(CHANGES[name](marked.arrays))
    assert origin.changed == name
    assert origin.tensors


def test_contiguous_and_eval_are_what_they_were_afterwards() -> None:
    before = mx.contiguous, mx.eval
    with pytest.raises(KeyError), unevaluated():
        raise KeyError
    assert before == (mx.contiguous, mx.eval)
