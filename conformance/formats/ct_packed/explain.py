"""Where the numbers behind one weight of a ``pack-quantized`` module lie."""

from __future__ import annotations

from ..dialects import compressed_tensors as dialect
from ..explain import lines
from ..module import Place
from ..parts import Config, Tensors
from .packing import parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, given = parts(config, tensors), dialect.arguments(config)
    g = int(true.g[channel])
    chosen = f"weight_g_idx[{channel}]" if "weight_g_idx" in tensors else "by position"
    stored = tensors["weight_packed"].bits
    value = int(true.q[output, channel])
    start, word = _place(channel, stored.shape[1], true.q.shape[1], given.bits, given.padded)
    code = Place(
        f"weight_packed[{output}, {word}] = {_hex(stored[output, word])}, {given.bits} bits from bit {start}", value
    )
    z = int(true.z[g, output])
    if given.symmetric:
        zero = Place(f"no weight_zero_point: zero point z = {z}, as of every symmetric module", z)
    elif given.strategy == "tensor":
        zero = Place(f"weight_zero_point[0] = {z - (1 << (given.bits - 1))}: zero point z = {z}", z)
    else:
        words = tensors["weight_zero_point"].bits
        start, word = _place(output, words.shape[0], true.q.shape[0], given.bits, given.padded)
        where = f"weight_zero_point[{word}, {g}] = {_hex(words[word, g])}, {given.bits} bits from bit {start}"
        zero = Place(f"{where}: zero point z = {z}", z)
    scales = tensors["weight_scale"]
    at = (0,) * len(scales.shape) if given.strategy == "tensor" else (output, g)
    return lines(true, (output, channel), chosen, code, zero, ("weight_scale", scales, at))


def _place(field: int, words: int, count: int, bits: int, padded: bool) -> tuple[int, int]:
    """First bit of a field in its word, and the word."""
    each = 32 // bits
    if words != -(-count * bits // 32) or (padded and words == -(-count // each)):
        return field % each * bits, field // each
    return field * bits % 32, field * bits // 32


def _hex(word: int) -> str:
    return f"0x{int(word) & 0xFFFFFFFF:08x}"
