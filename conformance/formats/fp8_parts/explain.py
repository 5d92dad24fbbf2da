"""Where the numbers behind one weight of an FP8 module in parts lie."""

from __future__ import annotations

import numpy as np

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import names_of, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, (codes, name) = parts(config, tensors), names_of(config)
    row, column = output // true.block[0], channel // true.block[1]
    scales = tensors[name]
    at = np.unravel_index(row * true.s.shape[1] + column, scales.shape) if scales.shape else ()
    where, code = ", ".join(map(str, at)), int(true.q[output, channel])
    bits = hexadecimal(scales, int(scales.bits[at]))
    return [
        f"weight [{output}, {channel}]: output {output}, input {channel}, block ({row}, {column}) of {true.block}",
        f"{codes}[{output}, {channel}] = 0x{code:02x}: value {float(true.values[code])!r}",
        f"{name}[{where}] = {bits} in {scales.dtype} = {float(true.s[row, column])!r}",
    ]
