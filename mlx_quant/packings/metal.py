"""transformers' ``metal``: MLX's own affine codes, under other names.

On disk: ``weight`` uint32 [out, in * bits / 32], codes along the inputs as a little-endian bit stream; ``scales`` and
``qbiases`` [out, in / group_size], floats of one dtype.

    W = RN(RN32(RN32(q * scale) + qbias)), in the dtype of the scales

is what transformers reads where there is no GPU of Apple's; on one, MLX's kernels multiply the same three tensors.
Source: transformers 5.23.0, ``integrations/metal_quantization.py`` (``MetalLinear``, ``MetalDequantize``).
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights.bits import as_words
from ..weights.summed import Summed
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "metal"
TITLE = "transformers' metal"
STATUS: Status = "enabled"
BITS = (2, 4, 8)
LAYOUTS = ("affine",)
MARKS = (".qbiases",)
TENSORS = (".weight", ".scales", ".qbiases")
# MLX's affine form has the same numbers.
BIASES_KEPT = True
_FLOATS = ("scales", "qbiases")


def recognises(infos: Infos) -> bool:
    return {"weight", *_FLOATS} <= infos.keys() and infos["weight"].dtype in checks.WORDS


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "bits")
    checks.present(infos, ("weight", *_FLOATS), TENSORS)
    out_features, words = checks.words(infos, "weight")
    in_features = words * (32 // scheme.bits)
    checks.scales(infos)
    checks.dtype(infos, "qbiases", (infos["scales"].dtype,))
    groups = checks.whole_groups(infos, "weight", scheme.group_size, in_features)
    for name in _FLOATS:
        if infos[name].shape != (out_features, groups):
            raise checks.bad_shape(
                infos, name, f"{groups} groups of {scheme.group_size} inputs make {[out_features, groups]}"
            )
    return Measured(out_features, in_features, infos["scales"].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Summed:
    found = measure(scheme, checks.headers(tensors))
    for name in _FLOATS:
        checks.finite(tensors, name)
    scales, offsets = (mx.contiguous(tensors[name].T) for name in _FLOATS)
    words = as_words(mx.contiguous(tensors["weight"]))
    return Summed(words, scales, offsets, scheme.bits, found.in_features, scheme.group_size)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
