"""Gemma's own integers in transformers: 2, 4 or 8 bits with a scale for each output, of linear layers and embeddings.

On disk: ``weight`` uint8 [out, in * bits / 8], the lowest bits first, counted from -2 or -8; of 8 bits int8 [out, in].
``weight_scale`` float32 [out, 1]. An embedding calls them ``embedding_quantized`` and ``embedding_scale``. Beside a
weight lie scales of activations, which are clamped as the model runs; they change no weight.
``W = RN(q * RN(s))`` in the dtype that the model computes in, float32 unless one is asked for. Source: transformers
5.23.0, ``integrations/gemma_quant.py``, ``QuantizedLinear._dequantize_weights``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.bits import rows_as_words
from ..weights.cast import Cast
from ..weights.integer import Integer
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "gemma_quant"
TITLE = "Gemma int2, int4 and int8"
STATUS: Status = "enabled"
BITS = (2, 4, 8)
LAYOUTS = ("gemma",)
MARKS = (".weight_scale", ".embedding_quantized", ".embedding_scale")
ACTIVATIONS = (".input_activation_scale", ".output_activation_scale")
TENSORS = (".weight", *MARKS, *ACTIVATIONS)
# Of caches of keys and values: no model of transformers loads them.
TRAITS = Traits(unread=(".k_cache_scale", ".v_cache_scale"))

_LINEAR, _EMBEDDING = ("weight", "weight_scale"), ("embedding_quantized", "embedding_scale")
# Signed bytes and unsigned ones counted from -128 differ in their highest bit.
_SIGN = 0x80


def recognises(infos: Infos) -> bool:
    codes, scales = (infos.get(name) for name in _names(infos))
    if codes is None or scales is None or codes.dtype not in ("U8", "I8"):
        return False
    return scales.dtype == "F32" and len(codes.shape) == 2 and scales.shape == (codes.shape[0], 1)


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "quant_method")
    own = _names(infos)
    codes, scales = own
    leaves = (*own, *(() if own == _EMBEDDING else map(checks.leaf, ACTIVATIONS)))
    checks.present(infos, own, leaves)
    checks.dtype(infos, codes, ("I8",) if scheme.bits == 8 else ("U8",))
    out_features, columns = checks.matrix(infos, codes)
    if infos[scales].dtype != "F32":
        raise UnsupportedFormat("unsupported-dtype", f"dtype {infos[scales].dtype}, expected float32", where=scales)
    if infos[scales].shape != (out_features, 1):
        raise checks.bad_shape(infos, scales, f"expected one for each of {out_features} outputs, in a column")
    for name in map(checks.leaf, ACTIVATIONS):
        if name in infos and (infos[name].dtype not in checks.SCALES or infos[name].size != 1):
            raise checks.bad_shape(infos, name, "expected one float")
    return Measured(out_features, columns * 8 // scheme.bits, mx.float32)


def decode(scheme: Scheme, tensors: Tensors) -> Cast:
    found = measure(scheme, checks.headers(tensors))
    codes, scales = _names(checks.headers(tensors))
    checks.finite(tensors, scales)
    octets = tensors[codes]
    if scheme.bits == 8:
        octets = octets.view(mx.uint8) ^ _SIGN
    factors = mx.contiguous(tensors[scales].T)
    zeros = mx.full(factors.shape, 1 << (scheme.bits - 1), dtype=mx.uint8)
    return Cast(Integer(rows_as_words(octets), zeros, factors, scheme.bits, found.in_features, found.in_features))


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    clamped = [name for name in map(checks.leaf, ACTIVATIONS) if name in tensors and tensors[name].any().item()]
    if not clamped:
        return []
    return [f"{' and '.join(clamped)}: transformers rounds and clamps activations there, which MLX's model does not"]


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)


def _names(infos: Infos) -> tuple[str, str]:
    """Codes and scales of a linear layer, or of an embedding."""
    return _EMBEDDING if any(name in infos for name in _EMBEDDING) else _LINEAR
