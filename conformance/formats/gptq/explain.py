"""Where the numbers behind one weight of a GPTQ module lie."""

from __future__ import annotations

import numpy as np

from ...bits.fields import fields
from ..explain import lines
from ..module import Place
from ..parts import Config, Tensors
from .packing import parts, stored_zeros, version, width, zero_points


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    g = int(true.g[channel])
    chosen = f"g_idx[{channel}]" if "g_idx" in tensors else "by position"
    code, zero = code_place(config, tensors, output, channel), zero_place(config, tensors, output, g)
    return lines(true, (output, channel), chosen, code, zero, ("scales", tensors["scales"], (g, output)))


def code_place(config: Config, tensors: Tensors, output: int, channel: int) -> Place:
    bits, words = width(config), tensors["qweight"]
    value = int(fields(words.bits[:, output : output + 1], 0, bits)[channel, 0])
    return Place(f"qweight[{_span(bits, channel)}, {output}] = {_words(words.bits[:, output], bits, channel)}", value)


def zero_place(config: Config, tensors: Tensors, output: int, group: int) -> Place | None:
    if "qzeros" not in tensors:
        return None
    bits, row = width(config), tensors["qzeros"].bits[group]
    value = int(stored_zeros(config, tensors)[group, output])
    z = int(zero_points(config, tensors)[group, output])
    limit, offset = 1 << bits, 1 if version(config) == 1 else 0
    meaning = "by policy"
    if z == (value + offset) % limit:
        meaning = "as stored" if not offset else f"stored + 1{'' if z else f', modulo {limit}'}"
    where = f"qzeros[{group}, {_span(bits, output)}] = {_words(row, bits, output)}"
    return Place(f"{where}: stored {value}, zero point z = {z} ({meaning})", value)


def _span(bits: int, field: int) -> str:
    first, last = bits * field // 32, (bits * field + bits - 1) // 32
    return str(first) if first == last else f"{first}:{last + 1}"


def _words(row: np.ndarray, bits: int, field: int) -> str:
    """The word or two that hold a field of a row of words, and which bits of them."""
    first, last = bits * field // 32, (bits * field + bits - 1) // 32
    shown = ", ".join(f"0x{int(word) & 0xFFFFFFFF:08x}" for word in row[first : last + 1])
    start = bits * field % 32
    if 32 % bits == 0:
        return f"{shown}, {'nibble' if bits == 4 else f'{bits}-bit field'} {start // bits} from the lowest"
    return f"{shown}, {bits} bits from bit {start}{' on, over both words' if first != last else ''}"
