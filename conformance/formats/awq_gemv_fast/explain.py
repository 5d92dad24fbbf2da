"""Where the numbers behind one weight of an AWQ gemv_fast module lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import PLACES, offsets_of, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    g, q = int(true.g[channel]), int(true.q[output, channel])
    nibble = output % 4 * 64 + channel % 64 // 32 * 32 + int(PLACES[channel % 32])
    column = channel // 64 * 64 + nibble // 4
    word = int(tensors["qweight"].bits[output // 4, column]) & 0xFFFF
    text = f"qweight[{output // 4}, {column}] = 0x{word:04x}, nibble {nibble % 4} from the lowest: code q = {q}"
    lines = [f"weight [{output}, {channel}]: output {output}, input {channel}, group {g} (by position)", text]
    for name in ("scales", offsets_of(config)):
        array = tensors[name]
        bits, value = hexadecimal(array, int(array.bits[g, output])), float(array.float64()[g, output])
        lines.append(f"{name}[{g}, {output}] = {bits} in {array.dtype} = {value!r}")
    return lines
