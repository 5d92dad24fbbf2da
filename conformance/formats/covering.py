"""Few rows of options that hold every pair of them, and every triple of some: a covering array, made greedily.

The order of everything is that of the options as declared, so that the rows are the same for everybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, product
from typing import Any

Options = Mapping[str, tuple[Any, ...]]
Row = dict[str, Any]
# Options that do not go together, and why.
Apart = tuple[tuple[Row, str], ...]
Tuple = tuple[tuple[str, Any], ...]


def due(options: Options, threefold: tuple[str, ...], apart: Apart) -> Iterator[Tuple]:
    """Every pair of options, and every triple of those in ``threefold``, but for what does not go together."""
    for names in _sets(options, threefold):
        for values in product(*(options[name] for name in names)):
            if together(dict(zip(names, values, strict=True)), apart):
                yield tuple(zip(names, values, strict=True))


def _sets(options: Options, threefold: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [*combinations(options, 2), *combinations(threefold, 3)]


def together(row: Row, apart: Apart) -> bool:
    """Whether nothing in a row, which may lack some options, excludes something else in it."""
    return not any(excluded.items() <= row.items() for excluded, _ in apart)


def rows(options: Options, threefold: tuple[str, ...], apart: Apart) -> list[Row]:
    """Rows with a value for every option, in which everything that is :func:`due` occurs.

    ValueError for a tuple that no row can hold, although nothing in ``apart`` says so of it.
    """
    # What is left, in the order it is due in, and the same by the options it has.
    left = dict.fromkeys(due(options, threefold, apart))
    having: dict[str, dict[Tuple, None]] = {name: {} for name in options}
    for item in left:
        for name, _ in item:
            having[name][item] = None
    found, sets = list[Row](), _sets(options, threefold)
    for first in list(left):
        if first not in left:
            continue
        row = _row(dict(first), options, having, apart)
        found.append(row)
        for names in sets:
            item = tuple((name, row[name]) for name in names)
            if item in left:
                del left[item]
                for name in names:
                    del having[name][item]
    return found


def _row(row: Row, options: Options, having: Mapping[str, Iterable[Tuple]], apart: Apart) -> Row:
    for name, values in options.items():
        if name not in row:
            possible = [value for value in values if together(row | {name: value}, apart)]
            if not possible:
                raise ValueError(f"no {name} goes with {row}")
            # The first of those that bring most of what is left closer: as far as it is in the row, it fits.
            gains = _gains(row, name, having[name])
            row[name] = max(possible, key=lambda value: gains[value])
    return row


def _gains(row: Row, name: str, having: Iterable[Tuple]) -> Counter[Any]:
    """How much of what is left and has this option a row would hold completely: by the value of the option."""
    missing = object()
    found: Counter[Any] = Counter()
    for item in having:
        own: Any = None
        for key, value in item:
            if key == name:
                own = value
            elif row.get(key, missing) != value:
                break
        else:
            found[own] += 1
    return found
