"""Faults of readers of transformers' metal: places of codes, what a bias is, and how often a sum is rounded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest, odd_sum
from ..formats.metal.packing import Steps
from ..formats.registry import parts
from .model import Ask, Bug, Config, Mutant, Tensors
from .wrap import Decode

_SOURCE = (
    "https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/integrations/metal_quantization.py",
)
_KERNEL = ("https://github.com/ml-explore/mlx/blob/main/mlx/backend/metal/kernels/quantized.h",)
_ALL, _PLACES, _VALUES = (4, 2, 8), ("vectors", "layouts"), ("vectors", "arithmetic")


def _changed(change: Callable[[Steps], Steps]) -> Decode:
    """A decode with one of its parts changed."""
    return _valued(lambda found, dtype: change(found).dense(dtype))


def _valued(value: Callable[[Steps, str], Array]) -> Decode:
    """A decode with sound parts and an arithmetic of its own."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        assert isinstance(found, Steps)
        with np.errstate(all="ignore"):
            return value(found, dtype or found.dtype)

    return decode


def _high_first(found: Steps) -> Steps:
    held = 32 // found.bits
    return found.with_(q=found.q.reshape(-1, held)[:, ::-1].reshape(found.shape))


def _bytes_turned(found: Steps) -> Steps:
    """Words of the other byte order."""
    held = 32 // found.bits
    octets = found.q.reshape(-1, 4, held // 4)
    return found.with_(q=octets[:, ::-1].reshape(found.shape))


def _by_columns(found: Steps) -> Steps:
    """Scales and biases [groups, outputs] are taken for [outputs, groups]."""
    groups, out = found.s.shape
    turned = (np.ascontiguousarray(array.T).reshape(groups, out) for array in (found.s, found.b))
    return found.with_(s=next(turned), b=next(turned))


def _first_group(found: Steps) -> Steps:
    return found.with_(g=0 * found.g)


def _dealt(found: Steps) -> Steps:
    """Inputs go to groups in turn."""
    return found.with_(g=np.arange(found.shape[1]) % len(found.s))


def _spread(found: Steps) -> tuple[np.ndarray, np.ndarray]:
    return found.s[found.g].T, found.b[found.g].T


def _in_their_dtype(found: Steps, dtype: str) -> Array:
    s, b = _spread(found)
    products = nearest(found.q * s, found.dtype).float64()
    return nearest(nearest(odd_sum(products, b), found.dtype).float64(), dtype)


def _fused(found: Steps, dtype: str) -> Array:
    s, b = _spread(found)
    return nearest(odd_sum(found.q * s, b), dtype)


def _zero_point(found: Steps, dtype: str) -> Array:
    s, b = _spread(found)
    return nearest(nearest((found.q - b) * s, "float32").float64(), dtype)


def _mutant(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("metal",), _ALL, decode)


METAL: tuple[Mutant, ...] = (
    _mutant("MT-01", Bug.NIBBLE_ORDER, "the last code of a word is lowest", _SOURCE, _PLACES, _changed(_high_first)),
    _mutant("MT-01b", Bug.INTERLEAVE, "bytes of a word are turned around", _SOURCE, _PLACES, _changed(_bytes_turned)),
    _mutant("MT-02", Bug.ZERO_OFFSET, "biases are subtracted", _SOURCE, _VALUES,
            _changed(lambda found: found.with_(b=-found.b))),
    _mutant("MT-02b", Bug.ZERO_OFFSET, "biases are left out", _SOURCE, _VALUES,
            _changed(lambda found: found.with_(b=0 * found.b))),
    _mutant("MT-02c", Bug.ZERO_OFFSET, "biases are taken for zero points", _SOURCE, _VALUES, _valued(_zero_point)),
    _mutant("MT-03", Bug.OP_ORDER_DTYPE, "products and sums are rounded to the dtype of the scales", _KERNEL, _VALUES,
            _valued(_in_their_dtype)),
    _mutant("MT-03b", Bug.ROUNDING, "product and sum are rounded once", _KERNEL, ("arithmetic",), _valued(_fused)),
    _mutant("MT-04", Bug.PACK_AXIS, "scales and biases lie the other way round", _SOURCE, _PLACES,
            _changed(_by_columns)),
    _mutant("MT-04b", Bug.GROUP_INDEX, "the first group stands for all", _SOURCE, _PLACES, _changed(_first_group)),
    _mutant("MT-04c", Bug.GROUP_INDEX, "inputs go to groups in turn", _SOURCE, _PLACES, _changed(_dealt)),
)  # fmt: skip
