"""Where the numbers behind one weight of torchao's MX or NVFP4 lie."""

from __future__ import annotations

import numpy as np

from ..parts import Config, Tensors
from .packing import CODES, FOURS, MXFP8, SCALES, WHOLE, group_size, is_swizzled, kind_of, parts, places


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, kind = parts(config, tensors), kind_of(config)
    size = group_size(config, true.shape[1])
    group, code = channel // size, int(true.q[output, channel])
    scales = tensors[SCALES]
    flat = output * true.s.shape[1] + group
    if is_swizzled(config):
        flat = int(places(*true.s.shape)[output, group])
    at = tuple(int(i) for i in np.unravel_index(flat, scales.shape))
    column = channel if kind == MXFP8 else channel // 2
    half = "" if kind == MXFP8 else f"{'high' if channel % 2 else 'low'} nibble {code}, "
    lines = [
        f"weight [{output}, {channel}]: group {group} of {size} inputs",
        f"{CODES}[{output}, {column}] = 0x{int(tensors[CODES].bits[output, column]):02x}: {half}value "
        f"{float(true.values[code])!r}",
        f"{SCALES}{list(at)} = 0x{int(scales.bits[at]):02x}{' of its tile' if is_swizzled(config) else ''}",
    ]
    if kind == FOURS and WHOLE in tensors:
        lines.append(f"{WHOLE} = {float(tensors[WHOLE].float64())!r}, which multiplies")
    return [*lines, f"scale = {float(true.s[output, group])!r}"]
