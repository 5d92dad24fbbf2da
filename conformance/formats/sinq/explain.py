"""Where the numbers behind one weight of a SINQ module lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import PACKINGS, parts, said


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, own = parts(config, tensors), said(config)
    n, inputs = output * true.shape[1] + channel, true.shape[1]
    row, column = divmod(n, true.size)
    held = PACKINGS[true.bits][1]
    height = -(-(true.q.size // true.size) // held)
    columns = tensors["meta.scale2"]
    tiles = columns.bits.ndim == 3
    tile = output // true.size * (inputs // true.size) + channel // true.size
    place = (held - 1 - row // height) * true.bits
    lines = [
        f"weight [{output}, {channel}]: output {output}, input {channel}, group {row}",
        f"folded to row {row} and column {column}: word [{row % height}, {column}] of W_q, {true.bits} bits from bit "
        f"{place}: code q = {int(true.q[output, channel])}",
    ]
    at = (tile, output % true.size, 0) if tiles else (row, 0)
    for name, value in (("zero", true.z), ("scale", true.s)):
        if f"{name}.shape" in own:
            lines.append(
                f"meta.{name} of group {row} = x * s + m of its three tensors = {float(value[output, channel])!r}"
            )
            continue
        array = tensors[f"meta.{name}"]
        where = () if array.shape == () else at
        bits = hexadecimal(array, int(array.bits[where]))
        lines.append(f"meta.{name}{list(where)} = {bits} in {array.dtype} = {float(array.float64()[where])!r}")
    across = (tile, 0, channel % true.size) if tiles else (0, channel)
    bits = hexadecimal(columns, int(columns.bits[across]))
    lines.append(f"meta.scale2{list(across)} = {bits} in {columns.dtype} = {float(true.c[output, channel])!r}")
    return lines
