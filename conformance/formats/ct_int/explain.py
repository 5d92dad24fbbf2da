"""Where the numbers behind one weight of an ``int-quantized`` module lie."""

from __future__ import annotations

from ..dialects import compressed_tensors as dialect
from ..explain import lines
from ..module import Place
from ..parts import Config, Tensors
from .packing import parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, given = parts(config, tensors), dialect.arguments(config)
    g = int(true.g[channel])
    stored, z = int(tensors["weight"].bits[output, channel]), int(true.z[g, output])
    code = Place(f"weight[{output}, {channel}] = {stored}, counted from -128", stored + 128)
    scales = tensors["weight_scale"]
    at = (0,) * len(scales.shape) if given.strategy == "tensor" else (output, g)
    where = ", ".join(map(str, at))
    zero = Place(f"no weight_zero_point: zero point z = {z}, as of every symmetric module", z)
    if not given.symmetric:
        zero = Place(f"weight_zero_point[{where}] = {z - 128}, counted from -128: zero point z = {z}", z)
    return lines(true, (output, channel), "by position", code, zero, ("weight_scale", scales, at))
