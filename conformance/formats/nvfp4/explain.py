"""Where the numbers behind one weight of an NVFP4 module lie."""

from __future__ import annotations

from ...bits.floats import E4M3
from ..parts import Config, Tensors
from .packing import GROUP, is_compressed, names_of, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    """``output`` counts those of all experts of a stack."""
    true, (codes, whole) = parts(config, tensors), names_of(config)
    group, (expert, row) = channel // GROUP, divmod(output, true.shape[-2])
    stack = (expert,) if len(true.shape) == 3 else ()
    at, here = (*stack, row, channel // 2), (*stack, row, group)
    byte, scale = int(tensors[codes].bits[at]), int(tensors["weight_scale"].bits[here])
    code, half = int(true.q[*stack, row, channel]), "high" if channel % 2 else "low"
    numbers = tensors[whole].float64().ravel()
    number = float(numbers[expert if numbers.size > 1 else 0])
    how = "divides" if is_compressed(config) else "multiplies"
    return [
        f"weight {[*stack, row, channel]}: group {group} of {GROUP} inputs",
        f"{codes}{list(at)} = 0x{byte:02x}: {half} nibble {code}, value {float(true.values[code])!r}",
        f"weight_scale{list(here)} = 0x{scale:02x}: {float(E4M3[scale])!r}",
        f"{whole} = {number!r}, which {how}: {float(true.s[here])!r}",
    ]
