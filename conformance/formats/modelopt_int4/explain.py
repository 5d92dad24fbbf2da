"""Where the numbers behind one weight of ModelOpt's INT4 lie."""

from __future__ import annotations

from ..explain import hexadecimal, lines
from ..module import Place
from ..parts import Config, Integer, Tensors
from .packing import parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    matrix = true if isinstance(true, Integer) else true.matrix
    half, q = "high" if output % 2 else "low", int(matrix.q[output, channel])
    code = Place(f"{half} half of weight[{output // 2}, {channel}] = {q - 8}, counted from -8", q)
    zero = Place("no zero points: z = 8, as of every module", 8)
    scale = ("weight_scale", tensors["weight_scale"], (output, int(matrix.g[channel])))
    found = lines(matrix, (output, channel), "by position", code, zero, scale)
    if (inputs := tensors.get("pre_quant_scale")) is not None:
        bits = hexadecimal(inputs, int(inputs.bits[channel]))
        found.append(
            f"pre_quant_scale[{channel}] = {bits} in {inputs.dtype} = {float(inputs.float64()[channel])!r}, "
            "the scale of the input, which multiplies the product"
        )
    return found
