"""Where each entry of a renamed, stacked, split or transposed tensor came from: read off MLX's graph, nothing computed.

A model's ``sanitize`` is run on marked stand-ins of the real shapes: a broadcast number each, which takes no memory.
The graph that it builds is then followed backwards, from positions in an output to positions in the inputs. Primitives
that move entries have a rule here; any other computes something new, and the output counts as changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import mlx.core as mx
import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]  # [n, ndim]
# No number in a model's code is as large, so a constant above it is a mark.
_FIRST_MARK = 1 << 40
_WIDENED = {mx.float16: {mx.float32}, mx.bfloat16: {mx.float32}}
_patching = threading.Lock()


class Marked:
    """Stand-ins for tensors, told apart by the number that fills each.

    Attributes:
        shapes: name to shape and dtype.
        names: of the tensors, by their numbers.
        arrays: name to stand-in, for ``sanitize``.
    """

    def __init__(self, shapes: Mapping[str, tuple[tuple[int, ...], mx.Dtype]]) -> None:
        self.shapes, self.names = shapes, list(shapes)
        self.arrays = {
            name: mx.broadcast_to(mx.array(_FIRST_MARK + number, mx.int64).astype(dtype), shape)
            for number, (name, (shape, dtype)) in enumerate(shapes.items())
        }


@contextmanager
def unevaluated() -> Iterator[None]:
    """Keep ``mx.contiguous``, which MLX does not export, and ``mx.eval`` from ending the graph of a ``sanitize``."""
    with _patching:
        contiguous, evaluate = mx.contiguous, mx.eval
        mx.contiguous, mx.eval = (lambda array, *_, **__: array), (lambda *_, **__: None)
        try:
            yield
        finally:
            mx.contiguous, mx.eval = contiguous, evaluate


class Origin:
    """The primitives behind one array, as ``mx.export_function`` tells them.

    Attributes:
        tensors: numbers of the tensors that the array is made from.
        changed: the primitive by which entries are computed and not just moved, or nothing.
    """

    def __init__(self, array: mx.array) -> None:
        self._made: dict[str, tuple[dict[str, Any], int]] = {}
        self._constants: dict[str, mx.array] = {}
        self._result = self.changed = ""
        try:
            mx.export_function(self._note, lambda: [array])
        except ValueError as error:
            # Constants are told before primitives, so all marks are known by now.
            self.changed = str(error).rpartition(" ")[2]
        self.tensors = [mark for name in self._constants if (mark := self._mark(name)) is not None]

    def came(self, positions: Positions) -> tuple[Positions, Positions]:
        """For entries of the array: the numbers of the tensors they came from [n], and the offsets therein [n].

        Entries that are a constant of the model's code have number -1. Only for an array that is not changed.
        """
        return self._came(self._result, positions)

    def _note(self, said: dict[str, Any]) -> None:
        if said["type"] == "primitive":
            self._made |= {name: (said, number) for number, (name, *_) in enumerate(said["outputs"])}
            if not self.changed and not self._moves(said):
                self.changed = said["name"]
        elif said["type"] == "constants":
            self._constants |= dict(said["constants"])
        elif said["type"] == "outputs":
            self._result = said["outputs"][0][0]

    def _moves(self, said: dict[str, Any]) -> bool:
        if said["name"] == "AsType":
            source, _, dtype = said["inputs"][0]
            return source in self._constants or said["arguments"][0] in _WIDENED.get(dtype, set())
        if said["name"] == "Gather":
            return len(said["inputs"]) == 2 and said["inputs"][1][0] in self._constants
        return said["name"] == "Concatenate" or said["name"] in _MOVES

    def _came(self, name: str, positions: Positions) -> tuple[Positions, Positions]:
        if name in self._constants:
            return np.full(len(positions), -1), np.zeros(len(positions), np.int64)
        said, number = self._made[name]
        if (mark := self._mark(name)) is not None:
            return np.full(len(positions), mark), _offsets(positions, said["outputs"][0][1])
        if said["name"] == "Concatenate":
            return self._joined(said, positions)
        source, shape, _ = said["inputs"][0]
        if said["name"] == "Gather":
            return self._came(source, self._taken(said, positions))
        wanted = said["outputs"][number][1]
        return self._came(source, _MOVES[said["name"]](positions, said["arguments"], shape, wanted, number))

    def _mark(self, name: str) -> int | None:
        """The number of the stand-in that ``name`` is: a constant, its dtype, and a shape."""
        for primitive in ("Broadcast", "AsType"):
            if name in self._made and self._made[name][0]["name"] == primitive:
                name = self._made[name][0]["inputs"][0][0]
        found = self._constants.get(name)
        if found is None or found.dtype != mx.int64 or found.ndim or cast(int, found.item()) < _FIRST_MARK:
            return None
        return cast(int, found.item()) - _FIRST_MARK

    def _taken(self, said: Mapping[str, Any], positions: Positions) -> Positions:
        """By an index along one axis, whose own axes come first in the output; then a slice along every axis."""
        (axis,), shape = said["arguments"][0], said["inputs"][0][1]
        index = np.array(self._constants[said["inputs"][1][0]]).astype(np.int64)
        moved = positions[:, index.ndim :].copy()
        moved[:, axis] += index[tuple(positions[:, : index.ndim].T)] % shape[axis]
        return moved

    def _joined(self, said: Mapping[str, Any], positions: Positions) -> tuple[Positions, Positions]:
        axis = said["arguments"][0]
        ends = np.cumsum([shape[axis] for _, shape, _ in said["inputs"]])
        part = np.searchsorted(ends, positions[:, axis], side="right")
        numbers, offsets = np.empty(len(positions), np.int64), np.empty(len(positions), np.int64)
        for which in set(part.tolist()):
            chosen, (source, shape, _) = part == which, said["inputs"][which]
            moved = positions[chosen].copy()
            moved[:, axis] -= ends[which] - shape[axis]
            numbers[chosen], offsets[chosen] = self._came(source, moved)
        return numbers, offsets


Shape = tuple[int, ...]
# Positions in an output, the primitive's arguments, shapes of input and output, and which output it is.
Move = Callable[[Positions, list[Any], Shape, Shape, int], Positions]


def _offsets(positions: Positions, shape: Shape) -> Positions:
    return np.ravel_multi_index(tuple(positions.T), shape) if shape else np.zeros(len(positions), np.int64)


def _positions(offsets: Positions, shape: Shape) -> Positions:
    if not shape:
        return np.zeros((len(offsets), 0), np.int64)
    return np.stack(np.unravel_index(offsets, shape), axis=-1).astype(np.int64)


def _reshaped(positions: Positions, _: list[Any], shape: Shape, wanted: Shape, __: int) -> Positions:
    return _positions(_offsets(positions, wanted), shape)


def _transposed(positions: Positions, arguments: list[Any], *_: Any) -> Positions:
    return positions[:, np.argsort(arguments[0])]


def _sliced(positions: Positions, arguments: list[Any], *_: Any) -> Positions:
    return np.array(arguments[0]) + positions * np.array(arguments[2])


def _split(positions: Positions, arguments: list[Any], shape: Shape, _: Shape, number: int) -> Positions:
    starts, axis = (0, *arguments[0]), arguments[1]
    moved = positions.copy()
    moved[:, axis] += starts[number]
    return moved


def _broadcast(positions: Positions, _: list[Any], shape: Shape, *__: Any) -> Positions:
    behind = positions[:, positions.shape[1] - len(shape) :]
    return np.where(np.array(shape) == 1, 0, behind)


def _same(positions: Positions, *_: Any) -> Positions:
    return positions


_MOVES: dict[str, Move] = {
    **dict.fromkeys(("Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze"), _reshaped),
    **dict.fromkeys(("Copy", "Contiguous", "StopGradient", "AsType"), _same),
    "Transpose": _transposed,
    "Slice": _sliced,
    "Split": _split,
    "Broadcast": _broadcast,
}
