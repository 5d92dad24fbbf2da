"""Where the numbers behind one weight of an AWQ gemm module lie."""

from __future__ import annotations

from ...bits.fields import fields
from ..divided import Divided
from ..explain import hexadecimal, lines
from ..module import Place
from ..parts import Config, Tensors
from .packing import DIVISORS, NIBBLE_OF_COLUMN, interleaves, parts, width


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    found = parts(config, tensors)
    true = found.matrix if isinstance(found, Divided) else found
    g = int(true.g[channel])
    code, zero = code_place(config, tensors, output, channel), zero_place(config, tensors, output, g)
    said = lines(true, (output, channel), "by position", code, zero, ("scales", tensors["scales"], (g, output)))
    if (divisors := tensors.get(DIVISORS)) is not None:
        bits = hexadecimal(divisors, int(divisors.bits[channel]))
        value = float(divisors.float64()[channel])
        said.append(f"{DIVISORS}[{channel}] = {bits} in {divisors.dtype} = {value!r}, which divides the product")
    return said


def code_place(config: Config, tensors: Tensors, output: int, channel: int) -> Place:
    return _nibble("qweight", config, tensors, channel, output)


def zero_place(config: Config, tensors: Tensors, output: int, group: int) -> Place | None:
    found = _nibble("qzeros", config, tensors, group, output)
    return Place(f"{found.text}: stored {found.value}, zero point z = {found.value} (as stored)", found.value)


def _nibble(name: str, config: Config, tensors: Tensors, row: int, output: int) -> Place:
    if (bits := width(config)) != 4:
        field = output // 8 * 8 + NIBBLE_OF_COLUMN[output % 8] if interleaves(config) else output
        value = int(fields(tensors[name].bits[row : row + 1], 1, bits)[0, field])
        return Place(f"{name}[{row}], bits {bits * field} to {bits * field + bits - 1} of the row", value)
    word, nibble = int(tensors[name].bits[row, output // 8]) & 0xFFFFFFFF, NIBBLE_OF_COLUMN[output % 8]
    text = f"{name}[{row}, {output // 8}] = 0x{word:08x}, nibble {nibble} from the lowest"
    return Place(text, (word >> 4 * nibble) & 15)
