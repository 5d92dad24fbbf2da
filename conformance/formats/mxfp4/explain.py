"""Where the numbers behind one weight of an MXFP4 module lie."""

from __future__ import annotations

from ..parts import Config, Tensors
from .packing import GROUP, WIDTH, pair_of, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    """``output`` counts those of all experts of a stack."""
    true = parts(config, tensors)
    codes, scales = pair_of(tensors)
    group, (expert, row) = channel // GROUP, divmod(output, true.shape[-2])
    stack = (expert,) if len(true.shape) == 3 else ()
    at = (*stack, row, group, channel % GROUP // 2) if codes == "_blocks" else (*stack, row, channel // 2)
    byte, exponent = int(tensors[codes].bits[at]) & 0xFF, int(tensors[scales].bits[*stack, row, group])
    code, half = int(true.q[*stack, row, channel]), "high" if channel % 2 else "low"
    where = f"expert {expert}, output {row}" if stack else f"output {row}"
    return [
        f"weight {[*stack, row, channel]}: {where}, input {channel}, group {group} of {GROUP} inputs, {WIDTH} bytes",
        f"{codes}{list(at)} = 0x{byte:02x}: {half} nibble {code}, value {float(true.values[code])!r}",
        f"{scales}{[*stack, row, group]} = {exponent}: 2 ** {exponent - 127}",
    ]
