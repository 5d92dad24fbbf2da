"""Where the numbers behind one weight of a 4-bit module of bitsandbytes lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import OWN, parts, said


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, (kind, own) = parts(config, tensors), said(tensors)
    number = output * true.shape[1] + channel
    block, code = number // own["blocksize"], int(true.q[output, channel])
    absmax = tensors["weight.absmax"]
    bits, scale = hexadecimal(absmax, int(absmax.bits[block])), float(true.s.ravel()[block])
    by = f", of {OWN}[{block // own['nested_blocksize']}] and an offset" if "nested_offset" in own else ""
    return [
        f"weight [{output}, {channel}]: number {number} of the flattened matrix, block {block} of {own['blocksize']}",
        f"byte {number // 2} of weight, {'low' if number % 2 else 'high'} half: code {code}, in {kind} the number "
        f"{float(true.values[code])!r}",
        f"weight.absmax[{block}] = {bits} in {absmax.dtype}{by} = {scale!r}",
    ]
