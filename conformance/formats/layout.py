"""Where the numbers of a module lie, in the form in which layouts are proven: names of tensors and addresses.

The address of a stored bit is the number of its word times the width of a word, plus its place; that of an element is
its number, in row order. A word is an element of the tensor, of 8 or of 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..bits.array import FLOATS, Array
from .module import Shape


def as_it_is(fields: np.ndarray, bits: int) -> np.ndarray:
    return fields


def offset_codes(weights: np.ndarray, zero: int, bits: int) -> np.ndarray:
    """Codes of weights of scale 1: whole numbers, counted from the zero point; -1 for what is no code."""
    codes = np.rint(weights) + zero
    whole = (weights == np.rint(weights)) & (codes >= 0) & (codes < 1 << bits)
    return np.where(whole, codes, -1).astype(np.int64)


def ones_and_twos(bits: np.ndarray, like: Array) -> Array:
    """Scales of 1 where a bit is 0 and of 2 where it is 1, stored as ``like``."""
    values = Array.of((1 + bits).astype(np.float32).reshape(like.shape))
    if like.dtype == "bfloat16":
        return Array("bfloat16", (values.bits >> 16).astype(np.uint16))
    if like.dtype not in FLOATS:
        raise TypeError(f"scales are stored as {like.dtype}; the format must say what 1 and 2 are")
    return Array.of(values.float64().astype(like.dtype))


def all_groups(shape: Shape) -> int:
    return shape.groups


def middle(bits: int) -> tuple[int, int]:
    """A code and a zero point, about whose storage nobody disagrees, that make 1."""
    return (1 << (bits - 1)) + 1, 1 << (bits - 1)


@dataclass(frozen=True)
class Layout:
    """What the layouts of a format are proven by.

    Attributes:
        codes, scales: local names of the tensors.
        zeros: the same of the zero points, None where no module has any; absent from a shape without.
        map: of the group of each channel, None where groups are consecutive.
        code_places: address [out, in, bits] of each bit of each code.
        group_scales: address [out, groups] of the scale of each output in each group.
        zero_places: address [out, in, bits] of each bit of each weight's zero point.
        stored_code, stored_zero: the field that is stored for a code or zero point of so many bits: bijections.
        read_codes: from weights of scale 1, a zero point and a width, the codes; -1 for none.
        one: from a width, a code and a zero point that make 1.
        scales_of: scales of 1 and 2 for bits of 0 and 1, stored as the given ones.
        room: groups that a row of scales has room for; those beyond the last one are padding, and nobody's.
        offsets: names of the tensor of floats that are added to each product, of which a module has one; it is
            addressed as the scales are.
        subtracted: whether these floats are zero points, taken from a code before the product.
        covers: weights that a code stands for.
        weight_scales: address [out, in] of each weight's scale, where groups do not lie along the inputs of an output.
    """

    codes: str
    scales: str
    zeros: str | None
    map: str | None
    code_places: Callable[[Shape], np.ndarray]
    group_scales: Callable[[Shape], np.ndarray]
    zero_places: Callable[[Shape], np.ndarray] | None = None
    stored_code: Callable[[np.ndarray, int], np.ndarray] = as_it_is
    stored_zero: Callable[[np.ndarray, int], np.ndarray] = as_it_is
    read_codes: Callable[[np.ndarray, int, int], np.ndarray] = offset_codes
    one: Callable[[int], tuple[int, int]] = middle
    scales_of: Callable[[np.ndarray, Array], Array] = ones_and_twos
    room: Callable[[Shape], int] = all_groups
    offsets: tuple[str, ...] = ()
    subtracted: bool = False
    covers: Callable[[Shape], int] = lambda _: 1
    weight_scales: Callable[[Shape], np.ndarray] | None = None

    def scale_places(self, shape: Shape) -> np.ndarray:
        """Address [out, in] of each weight's scale."""
        if self.weight_scales is not None:
            return self.weight_scales(shape)
        return self.group_scales(shape)[:, shape.group_index()]

    def wraps(self, bits: int) -> bool:
        """Whether a zero point of 0 is stored as another field, which upstream's readers may not take back modulo."""
        return self.zeros is not None and int(self.stored_zero(np.array(0), bits)) != 0
