"""Where the numbers behind one weight of BitNet lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import CODES, DIVIDED, SCALE, ZERO, form_of, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, scale = parts(config, tensors), tensors[SCALE]
    quarter, row = divmod(output, tensors[CODES].shape[0])
    code = int(true.q[output, channel])
    does = "divides" if form_of(config) == DIVIDED else "multiplies"
    return [
        f"weight [{output}, {channel}]: output {output}, input {channel}",
        f"{CODES}[{row}, {channel}] from bit {2 * quarter}: code {code}, less {ZERO} is {code - ZERO}",
        f"{SCALE} = {hexadecimal(scale, int(scale.bits.reshape(-1)[0]))} in {scale.dtype} = "
        f"{float(true.s[0, output])!r}, which {does}",
    ]
