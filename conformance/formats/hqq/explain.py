"""Where the numbers behind one weight of an HQQ module lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import PACKINGS, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    group, axis = int(tensors["group_size"].bits.item()), int(tensors["axis"].bits.item())
    count, n = true.q.size, output * true.shape[1] + channel
    columns = group if axis else count // group
    row, column = divmod(n, columns)
    held = PACKINGS[true.bits][1]
    height = -(-count // columns // held)
    place = (held - 1 - row // height) * true.bits
    lines = [
        f"weight [{output}, {channel}]: output {output}, input {channel}, number {n}, group {row if axis else column}",
        f"folded to row {row} and column {column}: word [{row % height}, {column}] of W_q, {true.bits} bits from bit "
        f"{place}: code q = {int(true.q[output, channel])}",
    ]
    at = (row, 0) if axis else (0, column)
    for name in ("zero", "scale"):
        array = tensors[name]
        bits, value = hexadecimal(array, int(array.bits[at])), float(array.float64()[at])
        lines.append(f"{name}[{at[0]}, {at[1]}] = {bits} in {array.dtype} = {value!r}")
    return lines
