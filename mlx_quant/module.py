"""One packed module: the two calls everything else is built on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx

from .config import method_of, parse
from .formats import module_named
from .packed import AffineWeights, PackedWeights


def _decode(config: Mapping[str, Any], tensors: Mapping[str, mx.array]) -> PackedWeights:
    # The method first: what else a config must hold depends on it.
    module = module_named(method_of(config))
    return module.decode(parse(config), tensors)


def dequantize(
    quantization_config: Mapping[str, Any], tensors: Mapping[str, mx.array], *, dtype: mx.Dtype | None = None
) -> mx.array:
    """The dense weight [out, in] of one packed module, bit for bit what the format means.

    Args:
        quantization_config: the mapping found in the checkpoint, in any producer's spelling.
        tensors: the module's tensors by local name (``qweight``, ``qzeros``, ``scales``, ``g_idx``; ``bias`` is
            allowed and not part of the weight).
        dtype: dtype of the result; None keeps the dtype of the scales. Either way the exact product
            ``s * (q - z)`` is rounded once, to nearest even.

    Raises:
        UnsupportedFormat: the method, layout, width or dtype is not decoded.
        MalformedCheckpoint: shapes, dtypes, group index or scales contradict the format.
    """
    return _decode(quantization_config, tensors).dense(dtype)


def to_affine(
    quantization_config: Mapping[str, Any],
    tensors: Mapping[str, mx.array],
    *,
    params_dtype: mx.Dtype | None = None,
) -> AffineWeights:
    """The module in MLX's packed affine form, codes and scales unchanged.

    Args and errors as :func:`dequantize`, plus UnsupportedFormat ``unsupported-affine`` where the groups have no
    affine form. ``params_dtype`` is the dtype of scales and biases; see :meth:`PackedWeights.affine` for its bounds.
    """
    return _decode(quantization_config, tensors).affine(params_dtype)
