"""Where the numbers behind one weight of a ``qint4`` or ``qint2`` module lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import CODES, SCALES, SHIFTS, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    assert true.size is not None
    n = output * true.shape[1] + channel
    group, place = divmod(n, true.size)
    height = len(tensors[CODES].bits)
    bit = group // height * true.bits
    lines = [
        f"weight [{output}, {channel}]: output {output}, input {channel}, number {n}, group {group}",
        f"{CODES}[{group % height}, {place}], {true.bits} bits from bit {bit}: code q = {int(true.q[output, channel])}",
    ]
    for name in (SCALES, SHIFTS):
        array = tensors[name]
        bits, value = hexadecimal(array, int(array.bits[group, 0])), float(array.float64()[group, 0])
        lines.append(f"{name}[{group}, 0] = {bits} in {array.dtype} = {value!r}")
    return lines
