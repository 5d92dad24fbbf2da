"""Where the numbers behind one weight of a QQQ module lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..module import Shape
from ..parts import Config, Tensors
from .addresses import code_places, group_scales
from .packing import codes_of, group_size, grown_of, has_groups, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, grouped = parts(config, tensors), has_groups(config, tensors)
    out, inputs = true.shape
    size = group_size(config, inputs)
    shape = Shape("", out, inputs, size if grouped else -1)
    address = int(code_places(shape)[output, channel, 0])
    row, column = divmod(address // 32, 2 * out)
    word = int(tensors["B"].bits[row, column]) & 0xFFFFFFFF
    code = int(codes_of(config, tensors)[output, channel])
    grown = grown_of(config, tensors)
    by = "16" if grown is None else f"{float(grown[output, channel])!r}"
    at = int(group_scales(shape)[output, 0])
    bits = hexadecimal(tensors["s_channel"], int(tensors["s_channel"].bits[0, at]))
    return [
        f"weight [{output}, {channel}]: output {output}, input {channel}, group {channel // size} (by position)",
        f"B[{row}, {column}] = 0x{word:08x}, nibble {address % 32 // 4} from the lowest: it stands for {code - 8}",
        f"times {by}, as an integer of 8 bits: {int(true.q[output, channel]) - 128}",
        f"s_channel[0, {at}] = {bits} in float32 = {float(true.s[0, output])!r}",
    ]
