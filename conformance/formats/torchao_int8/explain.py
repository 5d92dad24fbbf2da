"""Where the numbers behind one weight of torchao's bytes lie."""

from __future__ import annotations

from ..explain import lines
from ..module import Place
from ..parts import Config, Tensors
from .packing import CODES, SCALES, ZEROS, block_of, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, (rows, columns) = parts(config, tensors), block_of(config)
    stored, z = int(tensors[CODES].bits[output, channel]), int(true.z[channel // columns, output])
    code = Place(f"{CODES}[{output}, {channel}] = {stored}, counted from -128", stored + 128)
    at = (output // rows, channel // columns)
    where = ", ".join(map(str, at))
    zero = Place(f"no {ZEROS}: zero point z = {z}, as of every symmetric module", z)
    if ZEROS in tensors:
        zero = Place(f"{ZEROS}[{where}] = {z - 128}, counted from -128: zero point z = {z}", z)
    chosen = f"blocks of {rows} by {columns}"
    return lines(true, (output, channel), chosen, code, zero, (SCALES, tensors[SCALES], at))
