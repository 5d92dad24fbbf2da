"""What formats of integer codes say of one weight: where its code, zero point and scale lie."""

from __future__ import annotations

from ..bits.array import Array
from .module import Place
from .parts import Integer


def lines(
    true: Integer,
    place: tuple[int, int],
    chosen: str,
    code: Place,
    zero: Place | None,
    scale: tuple[str, Array, tuple[int, ...]],
) -> list[str]:
    """``chosen`` says what gives an input its group, ``scale`` is a tensor by its name, and the place in it."""
    output, channel = place
    g = int(true.g[channel])
    name, scales, at = scale
    z = int(true.z[g, output])
    where, bits = ", ".join(map(str, at)), hexadecimal(scales, int(scales.bits[at]))
    return [
        f"weight [{output}, {channel}]: output {output}, input {channel}, group {g} ({chosen})",
        f"{code.text}: code q = {int(true.q[output, channel])}",
        zero.text if zero else f"no qzeros: zero point z = {z}, as of every symmetric module",
        f"{name}[{where}] = {bits} in {scales.dtype} = {float(true.s[g, output])!r}",
    ]


def hexadecimal(like: Array, bits: int) -> str:
    """The bits of an element."""
    width = like.bits.itemsize * 8
    return f"0x{bits & ((1 << width) - 1):0{width // 4}x}"
