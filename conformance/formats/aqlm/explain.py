"""Where the numbers behind one weight of AQLM's lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import BOOKS, CODES, SCALES, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, books, scales = parts(config, tensors), tensors[BOOKS], tensors[SCALES]
    (o, r), (i, c) = divmod(output, true.block[0]), divmod(channel, true.block[1])
    found = [f"weight [{output}, {channel}]: place [{r}, {c}] of block [{o}, {i}]"]
    for number in range(true.q.shape[2]):
        code, stored = int(true.q[o, i, number]), int(tensors[CODES].bits[o, i, number])
        entry = books.bits[number, code, r, c]
        found.append(
            f"{CODES}[{o}, {i}, {number}] = {stored}: code {code}, of which {BOOKS}[{number}, {code}, {r}, {c}] = "
            f"{hexadecimal(books, int(entry))} in {books.dtype} = {float(true.e[number, code, r, c])!r}"
        )
    bits = hexadecimal(scales, int(scales.bits[o, 0, 0, 0]))
    return [*found, f"{SCALES}[{o}] = {bits} in {scales.dtype} = {float(true.s[o])!r}"]
