"""Where the numbers behind one weight of a metal module lie."""

from __future__ import annotations

from ..explain import hexadecimal
from ..parts import Config, Tensors
from .packing import parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    g, q, bits = int(true.g[channel]), int(true.q[output, channel]), true.bits
    word, place = divmod(channel * bits, 32)
    lines = [
        f"weight [{output}, {channel}]: output {output}, input {channel}, group {g} (by position)",
        f"weight[{output}, {word}], {bits} bits from bit {place}: code q = {q}",
    ]
    for name in ("scales", "qbiases"):
        array = tensors[name]
        found, value = hexadecimal(array, int(array.bits[output, g])), float(array.float64()[output, g])
        lines.append(f"{name}[{output}, {g}] = {found} in {array.dtype} = {value!r}")
    return lines
