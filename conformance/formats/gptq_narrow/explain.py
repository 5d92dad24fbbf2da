"""Where the numbers behind one weight of a module in narrow words lie."""

from __future__ import annotations

from ..explain import lines
from ..gptq.packing import version
from ..module import Place
from ..parts import Config, Tensors
from .packing import parts, stored_zeros, width, word_of


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, bits, word = parts(config, tensors), width(config), word_of(config)
    each = word // bits
    g = int(true.g[channel])
    chosen = f"g_idx[{channel}]" if "g_idx" in tensors else "by position"
    row, column = channel // each, output // each
    held = int(tensors["qweight"].bits[row, output]) % (1 << word)
    where = f"qweight[{row}, {output}] = 0x{held:0{word // 4}x}, field {channel % each} from the lowest"
    code = Place(where, int(true.q[output, channel]))
    stored, z = int(stored_zeros(config, tensors)[g, output]), int(true.z[g, output])
    held = int(tensors["qzeros"].bits[g, column]) % (1 << word)
    meaning = "as stored" if version(config) == 2 else "the word and 1 in each of its fields"
    where = f"qzeros[{g}, {column}] = 0x{held:0{word // 4}x}, field {output % each} from the lowest"
    zero = Place(f"{where}: stored {stored}, zero point z = {z} ({meaning})", stored)
    return lines(true, (output, channel), chosen, code, zero, ("scales", tensors["scales"], (g, output)))
