"""How packed modules arrive in a model's parameters: which rows of which, whole and in order, or not so."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal, cast

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from .moves import Marked, Origin, Positions

# Of a matrix and of each matrix of a stack: its corners, and rows drawn at random.
_ROWS, _ROWS_OF_EACH = 256, 6


@dataclass
class Arrival:
    """What became of one module.

    Attributes:
        kind: ``"rows"``, renamed, stacked or cut between rows, each row whole and in its order of columns;
            ``"transposed"``, whole but with rows for columns; ``"moved"``, every entry as it was but at other places;
            ``"changed"``, computed with; ``"left-out"``, in no parameter.
        why: for ``"changed"``, the primitive of MLX that computed.
        parameters: the modules of the model that hold it.
    """

    kind: Literal["rows", "transposed", "moved", "changed", "left-out"] = "left-out"
    why: str = ""
    parameters: list[str] = field(default_factory=list)

    def also(self, kind: Literal["rows", "transposed", "moved", "changed"], parameter: str, why: str = "") -> None:
        """Take in one more parameter; a module that arrives at two is cut, unless all its pieces are whole rows."""
        if self.kind != "left-out":
            pair = {self.kind, kind}
            kind = "changed" if "changed" in pair else "rows" if pair == {"rows"} else "moved"
        self.kind, self.why = kind, self.why or why
        self.parameters.append(parameter)


def arrivals(marked: Marked, arrays: Mapping[str, mx.array], owners: Mapping[str, str]) -> dict[str, Arrival]:
    """What becomes of each module when its tensors are mapped to ``arrays``.

    Args:
        marked: the stand-ins that were mapped.
        arrays: parameter to what was made of the stand-ins.
        owners: tensor to module, of the modules that are asked about.

    All tensors of a module must go the same way: row ``r`` of its scales where row ``r`` of its codes goes.
    """
    found = {name: Arrival() for name in owners.values()}
    index = _Index(marked, owners)
    untouched = {id(array): number for number, array in enumerate(marked.arrays.values())}
    grouped: dict[str, list[mx.array]] = {}
    for name, array in arrays.items():
        grouped.setdefault(name.rpartition(".")[0], []).append(array)
    for parameter, parts in grouped.items():
        # Most are handed on as they came, and nobody need ask what MLX did with them.
        if len(whole := {_as_it_came(part, untouched, index) for part in parts}) == 1 and None not in whole:
            module, _ = cast(tuple[str, tuple[int, ...]], whole.pop())
            if module:
                found[module].also("rows", parameter)
            continue
        seen: dict[str, list[_Seen]] = {}
        for part in parts:
            origin = Origin(part)
            asked = {module for tensor in origin.tensors if (module := index.module(tensor))}
            if origin.changed:
                for name in asked:
                    found[name].also("changed", parameter, origin.changed)
            elif asked:
                here = _seen(origin, part.shape, index)
                for name in asked:
                    seen.setdefault(name, []).append(here)
        for name, places in seen.items():
            kinds = {place.kind(index.number[name]) for place in places}
            alike = all(np.array_equal(places[0].rows, place.rows) for place in places)
            found[name].also(kinds.pop() if len(kinds) == 1 and alike else "moved", parameter)
    return found


def _as_it_came(part: mx.array, untouched: Mapping[int, int], index: _Index) -> tuple[str, tuple[int, ...]] | None:
    """The module of a matrix that is one of the stand-ins, and what its rows are numbered by; None for others."""
    number = untouched.get(id(part))
    return None if number is None or part.ndim < 2 else (index.module(number), part.shape[:-1])


class _Index:
    """Module and width of each stand-in, as arrays by its number; the last entry stands for constants."""

    def __init__(self, marked: Marked, owners: Mapping[str, str]) -> None:
        self._modules = [owners.get(name, "") for name in marked.names]
        self.number = {name: place for place, name in enumerate(dict.fromkeys(owners.values()))}
        self.owner = np.array([self.number.get(name, -1) for name in self._modules] + [-1])
        shapes = [shape for shape, _ in marked.shapes.values()]
        self.width = np.array([shape[-1] if shape else 1 for shape in shapes] + [1])

    def module(self, tensor: int) -> str:
        return self._modules[tensor]


@dataclass(frozen=True)
class _Seen:
    """Sampled entries of one parameter: the module and the row of each, and whether its place is the expected one."""

    owners: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    in_rows: npt.NDArray[np.bool_]
    transposed: npt.NDArray[np.bool_]

    def kind(self, module: int) -> Literal["rows", "transposed", "moved"]:
        own = self.owners == module
        if not own.any():
            return "moved"
        if self.in_rows[own].all():
            return "rows"
        return "transposed" if self.transposed[own].all() else "moved"


def _seen(origin: Origin, shape: tuple[int, ...], index: _Index) -> _Seen:
    positions, count, each = _sample(shape)
    tensors, offsets = origin.came(positions)
    width, owners = index.width[tensors], index.owner[tensors]
    row, column = np.divmod(offsets, width)
    by_row = np.stack([owners, row], axis=1).reshape(count, each, 2)
    together = np.repeat((by_row == by_row[:, :1]).all(axis=(1, 2)), each)
    in_rows = together & (column == positions[:, -1]) & (width == shape[-1])
    swapped = np.zeros(len(positions), bool)
    if len(shape) > 1:
        swapped = (column == positions[:, -2]) & (row == positions[:, -1]) & (width == shape[-2])
    return _Seen(owners, by_row[:, 0], in_rows, swapped)


# A model has few shapes, and thousands of parameters.
@functools.lru_cache(maxsize=64)
def _sample(shape: tuple[int, ...]) -> tuple[Positions, int, int]:
    """Positions in a parameter, row by row, as many in each; the number of rows, and of positions in one."""
    leading = np.concatenate(list(_leading(shape)))
    columns = np.array(sorted({0, shape[-1] // 3, shape[-1] - 1}))
    tiled = np.tile(columns, len(leading))[:, None]
    positions = np.concatenate([np.repeat(leading, len(columns), axis=0), tiled], axis=1).astype(np.int64)
    positions.flags.writeable = False
    return positions, len(leading), len(columns)


def _leading(shape: tuple[int, ...]) -> Iterator[Positions]:
    """Positions along all axes but the last: of every matrix the first and the last row, and some between."""
    draw = Random(0)
    height, stack = (shape[-2], shape[:-2]) if len(shape) > 1 else (1, ())
    count = _ROWS_OF_EACH if math.prod(stack) > 1 else _ROWS
    for matrix in np.ndindex(*stack):
        drawn = range(height) if height <= count else (draw.randrange(height) for _ in range(count))
        # NumPy's own draws and sets import parts of it that nothing else needs, as slow as the rest of a plan.
        rows = np.array(sorted({*drawn, 0, height - 1}))
        if len(shape) == 1:
            yield np.zeros((1, 0), np.int64)
        else:
            yield np.column_stack([np.full((len(rows), len(matrix)), matrix, np.int64), rows])
