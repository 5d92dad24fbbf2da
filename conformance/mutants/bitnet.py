"""Faults in reading BitNet: which outputs share a byte, what a code stands for, and what is done with the one scale."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..formats.bitnet.packing import CLASS, DIVIDED, HELD, MODE, MULTIPLIED, NORM, Quotient
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors
from .wrap import Decode, misread, spoilt, tolerant, valued, without


def _quarters(found: Integer) -> np.ndarray:
    return found.q.reshape(HELD, -1, found.shape[1])


def _neighbours(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The outputs of a byte are neighbours."""
    return found.with_(q=_quarters(found).transpose(1, 0, 2).reshape(found.shape))


def _highest_first(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The first quarter of the outputs is in the highest bits, as HQQ has it."""
    return found.with_(q=_quarters(found)[::-1].reshape(found.shape))


def _complement(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Codes are two's complements: 0, 1, -2 and -1."""
    return found.with_(q=np.where(found.q < 2, found.q + 1, found.q - 3))


def _other_way(found: Integer, dtype: str) -> Array:
    """The scale multiplies where it divides, and the other way round."""
    values, s = found.q - found.z[found.g].T, found.s[found.g].T
    with np.errstate(all="ignore"):
        return nearest(values * s if isinstance(found, Quotient) else values / s, dtype)


def _inverse_first(found: Integer, dtype: str) -> Array:
    """One over the scale is a number of the dtype of the scale."""
    return found.triple().dense(dtype)


def _by_way_of_float32(found: Integer, dtype: str) -> Array:
    """The quotient is a float32."""
    return nearest(found.dense("float32").float64(), dtype)


def _multiplied(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    """Without a class, the scale multiplies."""
    return config | {CLASS: config.get(CLASS) or MULTIPLIED}, tensors


def _offline(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return without(config, MODE), tensors


def _unnormed(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return without(config, NORM), tensors


def _zero_is_small(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    """A divisor of zero is taken for one."""
    scale = tensors["weight_scale"]
    one = Array(scale.dtype, np.full_like(scale.bits, 0x3F80 if scale.dtype == "bfloat16" else 0x3C00))
    divided = config.get(CLASS) in (None, DIVIDED) and scale.bits.size == 1 and not scale.float64().any()
    return config, {**tensors, "weight_scale": one} if divided else tensors


def _mutant(id: str, bug: Bug, mechanism: str, killed_by: tuple[str, ...], decode: Decode, *links: str) -> Mutant:
    return Mutant(id, bug, mechanism, links or _SOURCE, killed_by, ("bitnet",), (2,), decode)


_TREE = "https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/"
_SOURCE = (f"{_TREE}integrations/bitnet.py",)
_CONFIG = f"{_TREE}utils/quantization_config.py"
_MLX = "https://github.com/ml-explore/mlx-lm/blob/v0.32.2/mlx_lm/models/bitlinear_layers.py"
_EVERYWHERE = ("vectors", "arithmetic", "layouts", "synthetic", "modules")
_VALUES = ("vectors", "arithmetic")

BITNET: tuple[Mutant, ...] = (
    _mutant("TE-01", Bug.INTERLEAVE, "the four outputs of a byte of BitNet's are taken for neighbours",
            ("vectors", "layouts", "synthetic", "modules"), spoilt(_neighbours), *_SOURCE, _MLX),
    _mutant("TE-01b", Bug.NIBBLE_ORDER, "the first quarter of BitNet's outputs is read from the highest bits",
            _EVERYWHERE, spoilt(_highest_first)),
    _mutant("TE-02", Bug.ZERO_OFFSET, "BitNet's codes are counted from 0", _EVERYWHERE,
            spoilt(lambda found, config, tensors: found.with_(z=0 * found.z))),
    _mutant("TE-02b", Bug.ZERO_OFFSET, "BitNet's codes are counted from -2, as those of two bits are elsewhere",
            _EVERYWHERE, spoilt(lambda found, config, tensors: found.with_(z=0 * found.z + 2))),
    _mutant("TE-02c", Bug.SIGNEDNESS, "BitNet's codes are read as two's complements", _EVERYWHERE,
            spoilt(_complement)),
    _mutant("TE-03", Bug.SCALE_ENCODING, "BitNet's scale multiplies where it divides, and the other way round",
            ("vectors", "arithmetic", "synthetic", "modules"), valued(_other_way), *_SOURCE, _MLX),
    _mutant("TE-03b", Bug.CONFIG_FALLBACK, "where no linear_class is named, BitNet's scale multiplies",
            ("vectors", "policies"), misread(_multiplied), _CONFIG, _MLX),
    _mutant("TE-04", Bug.ROUNDING, "one over BitNet's scale is rounded to the dtype of the scale before it multiplies",
            _VALUES, valued(_inverse_first)),
    _mutant("TE-04b", Bug.ROUNDING, "BitNet's quotient is rounded to float32, and then once more", _VALUES,
            valued(_by_way_of_float32)),
    _mutant("TE-05", Bug.CONFIG_FALLBACK, "BitNet's quantization_mode is not read", ("refusals",),
            tolerant(_offline), _CONFIG),
    _mutant("TE-05b", Bug.CONFIG_FALLBACK, "BitNet's use_rms_norm is dropped", ("refusals",), tolerant(_unnormed),
            _CONFIG),
    _mutant("TE-06", Bug.NAN_INF, "a divisor of 0 is taken for 1", ("refusals",), tolerant(_zero_is_small)),
)  # fmt: skip
