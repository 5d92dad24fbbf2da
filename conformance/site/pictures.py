"""Layouts drawn: which bit of which word belongs to which weight, from the addresses by which layouts are proven."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..formats.module import Shape
from ..formats.protocol import Format

WORDS = 4
BITS = 32
_CELL, _HIGH, _LEFT, _TINTS = 24, 34, 92, 6
_MAP_ROWS, _MAP_COLUMNS = 16, 128


@dataclass(frozen=True)
class Field:
    """Neighbouring bits [first, last] of a row that hold bits from ``low`` on of one number."""

    first: int
    last: int
    owner: tuple[int, int]
    low: int
    whole: bool

    @property
    def part(self) -> str:
        top = self.low + self.last - self.first
        return "" if self.whole else f"b{self.low}" if top == self.low else f"b{self.low}-{top}"


@dataclass(frozen=True)
class Words:
    """The first rows of 32 bits of a tensor: ``width`` is that of one of its elements."""

    tensor: str
    width: int
    rows: list[list[Field]]
    second: str

    def lines(self) -> Iterator[str]:
        """The picture in words."""
        for number, row in enumerate(self.rows):
            said = [f"bits {f.first}-{f.last}: [{f.owner[0]}, {f.owner[1]}] {f.part}".rstrip() for f in row]
            yield f"bit {number * BITS} on: {'; '.join(said)}"

    @property
    def high(self) -> int:
        return 26 + len(self.rows) * _HIGH

    def boxes(self) -> Iterator[dict[str, Any]]:
        for number, row in enumerate(self.rows):
            for f in row:
                yield {
                    "x": _LEFT + f.first * _CELL,
                    "y": 22 + number * _HIGH,
                    "w": (f.last - f.first + 1) * _CELL,
                    "tint": sum(f.owner) % _TINTS,
                    "label": f"{f.owner[0]},{f.owner[1]}",
                    "part": f.part,
                }

    def starts(self) -> list[tuple[int, str]]:
        """Height of a row, and which elements of the tensor are in it."""
        each = max(1, BITS // self.width)
        found = []
        for number in range(len(self.rows)):
            first = number * BITS // self.width
            found.append((22 + number * _HIGH, f"[{first}]" if each == 1 else f"[{first}-{first + each - 1}]"))
        return found


@dataclass(frozen=True)
class Blocks:
    """A corner of the matrix, in rectangles of weights that share a scale."""

    rows: int
    columns: int
    found: list[tuple[int, int, int, int, int]]

    def boxes(self) -> Iterator[dict[str, Any]]:
        wide, high = 32 * _CELL / self.columns, 18
        for top, left, tall, broad, scale in self.found:
            yield {
                "x": round(_LEFT + left * wide, 2),
                "y": 22 + top * high,
                "w": round(broad * wide, 2),
                "h": tall * high,
                "tint": scale % _TINTS,
                "label": scale if broad * wide >= 26 else "",
            }

    @property
    def high(self) -> int:
        return 26 + self.rows * 18


@dataclass(frozen=True)
class Drawing:
    """Everything of one shape."""

    shape: Shape
    codes: Words
    zeros: Words | None
    blocks: Blocks

    @property
    def title(self) -> str:
        groups = f", groups of {self.shape.group_size}" if self.shape.group_size > 0 else ""
        return f"{self.shape.label}: {self.shape.bits} bits, [{self.shape.out}, {self.shape.in_features}]{groups}"


def drawings(format: Format) -> list[Drawing]:
    """One a label of the format's shapes, of one with several groups where there is one."""
    chosen: dict[str, Shape] = {}
    for shape in format.SHAPES:
        known = chosen.get(shape.label)
        if shape.ordered and (known is None or (known.groups == 1 < shape.groups)):
            chosen[shape.label] = shape
    return [_drawing(format, shape) for shape in chosen.values()]


def _drawing(format: Format, shape: Shape) -> Drawing:
    layout = format.LAYOUT
    tensors = format.constant(shape, *layout.one(shape.bits))[1]
    codes = _words(layout.codes, tensors, np.asarray(layout.code_places(shape)), np.arange(shape.in_features), "input")
    zeros = None
    if layout.zeros in tensors and layout.zero_places is not None and layout.zeros is not None:
        places = np.asarray(layout.zero_places(shape))
        zeros = _words(layout.zeros, tensors, places, shape.group_index(), "group")
    return Drawing(shape, codes, zeros, _blocks(np.asarray(layout.scale_places(shape))))


def _words(tensor: str, tensors: Any, places: np.ndarray, seconds: np.ndarray, second: str) -> Words:
    owners: dict[int, tuple[int, int, int]] = {}
    for o, i, b in np.argwhere(places < WORDS * BITS):
        owners.setdefault(int(places[o, i, b]), (int(o), int(seconds[i]), int(b)))
    rows = []
    for number in range(WORDS):
        row: list[Field] = []
        for bit in range(BITS):
            owner = owners.get(number * BITS + bit)
            if owner is None:
                continue
            o, i, b = owner
            last = row[-1] if row else None
            if last and last.last == bit - 1 and last.owner == (o, i) and last.low + bit - last.first == b:
                row[-1] = Field(last.first, bit, last.owner, last.low, last.low == 0 and b == places.shape[2] - 1)
            else:
                row.append(Field(bit, bit, (o, i), b, places.shape[2] == 1))
        if row:
            rows.append(row)
    stored = tensors[tensor]
    return Words(tensor, stored.bits.itemsize * 8, rows, second)


def _blocks(places: np.ndarray) -> Blocks:
    corner = places[:_MAP_ROWS, :_MAP_COLUMNS]
    found: list[tuple[int, int, int, int, int]] = []
    above: dict[tuple[int, int, int], int] = {}
    for top, row in enumerate(corner):
        ends = [*np.flatnonzero(np.diff(row)) + 1, len(row)]
        starts, current = [0, *ends[:-1]], {}
        for left, end in zip(starts, ends, strict=True):
            key = (int(left), int(end - left), int(row[left]))
            if key in above:
                number = above[key]
                y, x, tall, broad, scale = found[number]
                found[number] = (y, x, tall + 1, broad, scale)
            else:
                number = len(found)
                found.append((top, *key[:1], 1, *key[1:]))
            current[key] = number
        above = current
    return Blocks(corner.shape[0], corner.shape[1], found)


def sentences(format: Format) -> list[tuple[str, str]]:
    """What the room says of where things lie, by what it says it of."""
    layout = format.LAYOUT
    said = [
        ("", _first_paragraphs(inspect.getmodule(layout.code_places))),
        (layout.codes, inspect.getdoc(layout.code_places)),
        (layout.zeros or "", inspect.getdoc(layout.zero_places) if layout.zero_places else ""),
        (layout.scales, inspect.getdoc(layout.weight_scales or layout.group_scales)),
    ]
    return [(of, text) for of, text in said if text]


def _first_paragraphs(module: Any) -> str:
    """Without the title, which says what the module is for."""
    return (inspect.getdoc(module) or "").partition("\n\n")[2]
