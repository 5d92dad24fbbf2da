"""One packed module: the calls everything else is built on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx

from .dialects.registry import schemes_of
from .packings.registry import decode
from .weights.decoded import Weight
from .weights.native import AffineWeights, NativeWeights


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
    return _weight(quantization_config, tensors, candidates).dense(dtype)


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
    return _weight(quantization_config, tensors, candidates).native(params_dtype)


def to_affine(
    quantization_config: Mapping[str, Any],
    tensors: Mapping[str, mx.array],
    *,
    params_dtype: mx.Dtype | None = None,
    candidates: bool = False,
) -> AffineWeights:
    """As :func:`to_native`, for users of the affine mode alone; another mode is refused as ``unsupported-affine``."""
    return to_native(quantization_config, tensors, params_dtype=params_dtype, candidates=candidates).as_affine()


def _weight(config: Mapping[str, Any], tensors: Mapping[str, mx.array], candidates: bool) -> Weight:
    return decode(schemes_of(config).default, tensors, candidates=candidates)
