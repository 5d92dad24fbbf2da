"""Faults in reading Gemma's own integers: halves of bytes, signs, and the dtype in which a scale multiplies."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors
from .wrap import Decode, spoilt, valued


def _highest_first(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The highest bits of a byte are its first code."""
    held = 8 // found.bits
    return found.with_(q=found.q.reshape(len(found.q), -1, held)[:, :, ::-1].reshape(found.shape))


def _complement(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Codes are two's complements: what is stored as 0 is 0, and not the least number."""
    half = 1 << (found.bits - 1)
    return found.with_(q=found.q ^ half)


def _from_minus_half(found: Integer, dtype: str) -> Array:
    """The least code has no partner, so the middle is taken to lie between two codes."""
    return found.with_(z=np.full(found.z.shape, (1 << found.bits) / 2 - 0.5)).dense(dtype)


def _once(found: Integer, dtype: str) -> Array:
    """The float32 scale multiplies, and the product is rounded."""
    return nearest(found.s[found.g].T * (found.q - found.z[found.g].T), dtype)


def _clamped(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The scale of the inputs is taken for a factor of the weight."""
    scale = tensors.get("input_activation_scale")
    return found if scale is None or not scale.bits.any() else found.with_(s=found.s * scale.float64())


def _mutant(
    id: str, bug: Bug, mechanism: str, killed_by: tuple[str, ...], bits: tuple[int, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, _SOURCE, killed_by, ("gemma_quant",), bits, decode)


_SOURCE = ("https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/integrations/gemma_quant.py",)
_EVERYWHERE = ("vectors", "arithmetic", "layouts", "synthetic", "modules")

GEMMA: tuple[Mutant, ...] = (
    _mutant(
        "GE-01",
        Bug.NIBBLE_ORDER,
        "the highest bits of a byte of Gemma's are read as its first code, as bitsandbytes has them",
        _EVERYWHERE,
        (2, 4),
        spoilt(_highest_first),
    ),
    _mutant(
        "GE-02",
        Bug.SIGNEDNESS,
        "codes of Gemma's are read as two's complements where they are counted from the least, and the other way round",
        _EVERYWHERE,
        (2, 4, 8),
        spoilt(_complement),
    ),
    _mutant(
        "GE-02b",
        Bug.ZERO_OFFSET,
        "the middle of Gemma's codes is taken to lie between two of them, as 2-bit formats without a zero have it",
        _EVERYWHERE,
        (2, 4, 8),
        valued(_from_minus_half),
    ),
    _mutant(
        "GE-03",
        Bug.OP_ORDER_DTYPE,
        "Gemma's float32 scale multiplies before it is rounded to the dtype of the weight",
        ("vectors", "arithmetic", "synthetic"),
        (2, 4, 8),
        valued(_once),
    ),
    _mutant(
        "GE-04",
        Bug.OP_ORDER_DTYPE,
        "the scale by which Gemma's inputs are clamped is taken for a factor of the weight",
        ("policies",),
        (4,),
        spoilt(_clamped),
    ),
)
