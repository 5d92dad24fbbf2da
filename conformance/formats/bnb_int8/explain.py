"""Where the numbers behind one weight of an int8 module of bitsandbytes lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, scales = parts(config, tensors), tensors["SCB"]
    return [
        f"weight [{output}, {channel}]: output {output}, input {channel}",
        f"weight[{output}, {channel}] = {int(true.q[output, channel])}",
        f"SCB[{output}] = {hexadecimal(scales, int(scales.bits[output]))} in {scales.dtype} = "
        f"{float(true.s[output])!r}, the largest magnitude of its row",
    ]
