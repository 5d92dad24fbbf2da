"""Where the numbers behind one weight of a module of Quark's integers lie."""

from __future__ import annotations

from ..awq_gemm.packing import NIBBLE_OF_COLUMN
from ..dialects import quark as dialect
from ..explain import lines
from ..module import Place
from ..parts import Config, Tensors
from .packing import numbers_in, parts


def explain(config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
    true, given = parts(config, tensors), dialect.arguments(config)
    g = int(true.g[channel])
    grouped, lone = given.strategy == "group", given.strategy == "tensor"
    at = _number(config, tensors, "weight", (channel, output) if grouped else (output, channel))
    code = Place(f"{at.text}{_counted(given)}", int(true.q[output, channel]))
    zero = _number(config, tensors, "weight_zero_point", () if lone else (g, output) if grouped else (output,))
    zero = Place(f"{zero.text}: zero point z = {int(true.z[g, output])}{_counted(given)}", int(true.z[g, output]))
    scales = tensors["weight_scale"]
    place = (0,) * len(scales.shape) if lone else (g, output) if grouped else (output,)
    return lines(true, (output, channel), "by position", code, zero, ("weight_scale", scales, place))


def _counted(given: dialect.Arguments) -> str:
    return f", counted from -{1 << (given.bits - 1)}" if given.signed else ""


def _number(config: Config, tensors: Tensors, name: str, at: tuple[int, ...]) -> Place:
    """One as it is stored: an element, or some bits of one."""
    given, stored = dialect.arguments(config), tensors[name].bits
    if numbers_in(given) == 1 or not at:
        element = at or (0,) * stored.ndim
        value = int(stored[element])
        return Place(f"{name}[{', '.join(map(str, element))}] = {value}", value)
    *row, number = at
    if given.bits == 2:
        octet, shift = int(stored[(*row, number // 4)]), 6 - number % 4 * 2
        where = ", ".join(map(str, (*row, number // 4)))
        return Place(f"{name}[{where}] = 0x{octet:02x}, bits {shift} and {shift + 1}", octet >> shift & 3)
    nibble = NIBBLE_OF_COLUMN[number % 8] if given.interleaved else number % 8
    word = int(stored[(*row, number // 8)]) & 0xFFFFFFFF
    where = ", ".join(map(str, (*row, number // 8)))
    return Place(f"{name}[{where}] = 0x{word:08x}, nibble {nibble} from the lowest", (word >> 4 * nibble) & 15)
