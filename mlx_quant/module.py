"""One packed module: the calls everything else is built on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import mlx.core as mx

from .dialects.registry import schemes_of
from .dialects.schemes import Scheme
from .packings.registry import decode
from .weights import device, later
from .weights.decoded import Weight
from .weights.integer import Integer
from .weights.native import AffineWeights, NativeWeights
from .weights.replay import replay, replays

_FLAT = (str, int, bool, float, type(None))
_Spelled = tuple[tuple[Any, type, Any], ...]


def dequantize(
    quantization_config: Mapping[str, Any],
    tensors: Mapping[str, mx.array],
    *,
    dtype: mx.Dtype | None = None,
    candidates: bool = False,
) -> mx.array:
    """The dense weight [out, in] of one packed module, bit for bit what the format means.

    Args:
        quantization_config: the mapping found in the checkpoint, in any producer's spelling; rules for modules by
            name are not followed, because the module has none here. Where tensors do not tell the
            shape of a weight, it says ``in_features`` as well.
        tensors: the module's tensors by local name (``qweight``, ``qzeros``, ``scales``, ``g_idx``; ``bias`` is
            allowed and not part of the weight).
        dtype: dtype of the result; None keeps the one that the format defines (the dtype of the scales). Either way
            the exact product ``s * (q - z)`` is rounded once, to nearest even.
        candidates: decode formats too that the conformance suite has not proven yet.

    Raises:
        UnsupportedFormat: the method, layout, width or dtype is not decoded; ``candidate-format``.
        MalformedCheckpoint: shapes, dtypes, group index or scales contradict the format.
    """
    if replays() and (again := _again(quantization_config, tensors, dtype, candidates)) is not None:
        return again
    with later.together():
        found = _weight(quantization_config, tensors, candidates).dense(dtype)
        later.settle(found)
        return found


def to_native(
    quantization_config: Mapping[str, Any],
    tensors: Mapping[str, mx.array],
    *,
    params_dtype: mx.Dtype | None = None,
    candidates: bool = False,
) -> NativeWeights:
    """The module in whichever of MLX's packed modes holds it, codes and scales unchanged; ``mode`` names it.

    Args and errors as :func:`dequantize`, plus UnsupportedFormat ``unsupported-affine`` where none does.
    ``params_dtype`` is the dtype of float parameters; see :meth:`mlx_quant.weights.integer.Integer.native`.
    """
    with later.together():
        found = _weight(quantization_config, tensors, candidates).native(params_dtype)
        later.settle(*found.arrays.values())
        return found


def to_affine(
    quantization_config: Mapping[str, Any],
    tensors: Mapping[str, mx.array],
    *,
    params_dtype: mx.Dtype | None = None,
    candidates: bool = False,
) -> AffineWeights:
    """As :func:`to_native`, for users of the affine mode alone; another mode is refused as ``unsupported-affine``."""
    return to_native(quantization_config, tensors, params_dtype=params_dtype, candidates=candidates).as_affine()


def _again(
    config: Mapping[str, Any], tensors: Mapping[str, mx.array], dtype: mx.Dtype | None, candidates: bool
) -> mx.array | None:
    """What :func:`dequantize` gives of codes that are whole numbers, if it can be known without looking at them."""
    names = tuple(tensors)
    if (spelled := _spelled(config)) is None:
        return None

    def make(*arrays: mx.array) -> mx.array:
        weight = decode(_remembered(spelled), dict(zip(names, arrays, strict=True)), candidates=candidates)
        if not isinstance(weight, Integer):
            raise TypeError("more than a product is rounded")
        return weight.dense(dtype)

    plan = spelled, names, dtype, candidates, device.reads()
    return replay(make, plan, tuple(tensors.values()))


def _weight(config: Mapping[str, Any], tensors: Mapping[str, mx.array], candidates: bool) -> Weight:
    return decode(_scheme(config), tensors, candidates=candidates)


def _scheme(config: Mapping[str, Any]) -> Scheme:
    """What a configuration says of a module without a name; of a flat one it is remembered."""
    spelled = _spelled(config)
    return schemes_of(config).default if spelled is None else _remembered(spelled)


def _spelled(config: Mapping[str, Any]) -> _Spelled | None:
    """A flat configuration as what can be hashed; None for another."""
    if not isinstance(config, dict):
        return None
    # True is 1, and a configuration must not say the one for the other.
    spelled = tuple((key, type(value), value) for key, value in config.items())
    return spelled if all(kind in _FLAT for _, kind, _ in spelled) else None


@functools.lru_cache(maxsize=64)
def _remembered(spelled: _Spelled) -> Scheme:
    return schemes_of({key: value for key, _, value in spelled}).default
