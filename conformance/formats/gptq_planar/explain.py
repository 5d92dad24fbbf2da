"""Where the numbers behind one weight of a planar GPTQ module lie."""

from __future__ import annotations

import numpy as np

from ..explain import lines
from ..module import Place
from ..parts import Config, Tensors
from .addresses import within
from .packing import PLANES, parts, width


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, bits = parts(config, tensors), width(config)
    g = int(true.g[channel])
    chosen = f"g_idx[{channel}]" if "g_idx" in tensors else "by position"
    column = tensors["qweight"].bits[:, output]
    where = f"qweight[{{}}, {output}]"
    code = Place(_words(where, column, channel, bits), int(true.q[output, channel]))
    z = int(true.z[g, output])
    found = _words(f"qzeros[{g}, {{}}]", tensors["qzeros"].bits[g], output, bits)
    zero = Place(f"{found}: zero point z = {z} (as stored)", z)
    return lines(true, (output, channel), chosen, code, zero, ("scales", tensors["scales"], (g, output)))


def _words(where: str, row: np.ndarray, field: int, bits: int) -> str:
    """The word of each plane of a field, with the bits that it takes there."""
    said, first = [], 0
    for plane in PLANES[bits]:
        word, place = (int(value) for value in within(np.array(field), np.array(first), bits))
        span = f"bit {place}" if plane == 1 else f"bits {place} to {place + plane - 1}"
        said.append(f"{where.format(word)} = 0x{int(row[word]) & 0xFFFFFFFF:08x}, {span}")
        first += plane
    return "; ".join(said)
