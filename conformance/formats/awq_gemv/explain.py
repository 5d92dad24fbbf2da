"""Where the numbers behind one weight of an AWQ gemv module lie."""

from __future__ import annotations

from ..explain import lines
from ..module import Place
from ..parts import Config, Tensors
from .packing import parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true = parts(config, tensors)
    g = int(true.g[channel])
    code, zero = _nibble("qweight", tensors, output, channel), _nibble("qzeros", tensors, output, g)
    zero = Place(f"{zero.text}: zero point z = {zero.value} (as stored)", zero.value)
    return lines(true, (output, channel), "by position", code, zero, ("scales", tensors["scales"], (output, g)))


def _nibble(name: str, tensors: Tensors, row: int, field: int) -> Place:
    word, nibble = int(tensors[name].bits[row, field // 8]) & 0xFFFFFFFF, field % 8
    text = f"{name}[{row}, {field // 8}] = 0x{word:08x}, nibble {nibble} from the lowest"
    return Place(text, (word >> 4 * nibble) & 15)
