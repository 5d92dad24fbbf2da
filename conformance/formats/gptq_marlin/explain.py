"""Where the numbers behind one weight of a Marlin module lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..module import Shape
from ..parts import Config, Tensors
from .addresses import code_places, group_scales
from .packing import ZERO, names_of, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    codes, scales = names_of(config)
    g, q = int(true.g[channel]), int(true.q[output, channel])
    (out, inputs), groups = true.shape, len(true.s)
    shape = Shape("", out, inputs, -1 if groups == 1 else inputs // groups)
    row, column = divmod(int(code_places(shape)[output, channel, 0]) // 32, 2 * out)
    word = int(tensors[codes].bits[row, column]) & 0xFFFFFFFF
    nibble = int(code_places(shape)[output, channel, 0]) % 32 // 4
    at = divmod(int(group_scales(shape)[output, g]), out)
    bits = hexadecimal(tensors[scales], int(tensors[scales].bits[at]))
    return [
        f"weight [{output}, {channel}]: output {output}, input {channel}, group {g} (by position)",
        f"{codes}[{row}, {column}] = 0x{word:08x}, nibble {nibble} from the lowest: code q = {q}",
        f"no zero points: z = {ZERO}, as of every module in tiles",
        f"{scales}[{at[0]}, {at[1]}] = {bits} in {tensors[scales].dtype} = {float(true.s[g, output])!r}",
    ]
