"""Where the numbers behind one weight of Gemma's integers lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import EMBEDDING, LINEAR, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    codes, name = EMBEDDING if EMBEDDING[0] in tensors else LINEAR
    scales, held = tensors[name], 8 // true.bits
    code, zero = int(true.q[output, channel]), 1 << (true.bits - 1)
    place = f" from bit {channel % held * true.bits}" if held > 1 else ""
    return [
        f"weight [{output}, {channel}]: output {output}, input {channel}",
        f"{codes}[{output}, {channel // held}]{place}: code {code}, less {zero} is {code - zero}",
        f"{name}[{output}] = {hexadecimal(scales, int(scales.bits[output, 0]))} in {scales.dtype} = "
        f"{float(true.s[0, output])!r}, rounded to the dtype of the weight before it multiplies",
    ]
