"""Where the numbers behind one weight of a ``qint8`` module lie."""

from __future__ import annotations

from ..explain import lines
from ..module import Place
from ..parts import Config, Tensors
from .packing import CODES, SCALES, ZERO, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, stored = parts(config, tensors), int(tensors[CODES].bits[output, channel])
    code = Place(f"{CODES}[{output}, {channel}] = {stored}, counted from -128", stored + ZERO)
    zero = Place(f"no shift: zero point z = {ZERO}, as of every module of qint8", ZERO)
    return lines(true, (output, channel), "by position", code, zero, (SCALES, tensors[SCALES], (output, 0)))
