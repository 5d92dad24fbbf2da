"""FP8: a ``weight`` of E4M3 codes [out, in], and scales for all of it, for each output, or for blocks.

On disk: ``weight`` F8_E4M3 [out, in]; the scale as ``weight_scale_inv`` (DeepSeek, Qwen, transformers; multiplied, in
spite of its name), ``scale`` (DeepSeek V4) or ``weight_scale`` (ModelOpt, compressed-tensors, FBGEMM): one number,
[out, 1], or [ceil(out / rows), ceil(in / columns)], where blocks at the edges are cut short. Under the name ``scale``
each row may have its own: [out, ceil(in / columns)], as embeddings of DeepSeek V4.1 have them. Scales are float32,
bfloat16, float16, or bytes of E8M0. MLX hands out both kinds of small floats as uint8. Beside them lie scales of
activations, which belong to no weight.

    layout               W
    block                RN(RN32(q * s)), in bfloat16 unless the scales have 16 bits
    float-quantized      RN(q * s), in the dtype of the scales; naive-quantized is its old name, and mxfp8-quantized is
                         the same in bfloat16 with scales of E8M0
    modelopt             RN(q * RN(s)), in bfloat16
    fbgemm               RN(RN32(q * s)), in bfloat16 whatever the scales are, of which each output has one

Sources: transformers 5.23.0, ``integrations/finegrained_fp8.py``, ``Fp8Dequantize``; compressed-tensors 0.19.0,
``quantization/lifecycle/forward_helpers.py``, ``_dequantize``; nvidia-modelopt 0.47.0, ``qtensor/fp8_tensor.py``;
fbgemm-gpu-genai 1.9.0, ``experimental/gemm/triton_gemm/fp8_gemm.py``, ``_kernel_dequantize_fp8_row``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint, UnsupportedFormat
from ..weights.floats import e8m0
from ..weights.scaled import Scaled
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "fp8"
TITLE = "FP8"
STATUS: Status = "enabled"
_COMPRESSED = ("float-quantized", "naive-quantized", "mxfp8-quantized")
BITS = (8,)
LAYOUTS = ("block", *_COMPRESSED, "modelopt", "quark", "fbgemm")
MARKS = (".weight_scale_inv", ".weight_scale", ".scale")
# The last ones are of activations and of the cache: known, and not read.
TENSORS = (".weight", *MARKS, ".input_scale", ".activation_scale", ".output_scale", ".k_scale", ".v_scale")

CODES = ("F8_E4M3", "U8")
# Parameters of many models are called so.
TRAITS = Traits(paired={".scale": (".weight", ("F8_E4M3",))})
_BYTES = ("F8_E8M0", "U8")


def recognises(infos: Infos) -> bool:
    return "weight" in infos and infos["weight"].dtype in CODES and len(_scales(infos)) == 1


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "quant_method")
    checks.present(infos, ("weight",), TENSORS)
    if len(found := _scales(infos)) != 1:
        raise MalformedCheckpoint(
            "unexpected-tensor" if found else "missing-tensor",
            f"needs one of {' and '.join(checks.leaf(mark) for mark in MARKS)}; found {' and '.join(found) or 'none'}",
            where=found[-1] if found else "weight_scale_inv",
        )
    if infos["weight"].dtype == "F8_E5M2":
        raise UnsupportedFormat("unsupported-dtype", "dtype F8_E5M2; only F8_E4M3 is decoded", where="weight")
    checks.dtype(infos, "weight", CODES)
    out_features, in_features = checks.matrix(infos, "weight")
    name = found[0]
    exponents = () if scheme.layout == "fbgemm" else _BYTES
    if infos[name].dtype not in (*checks.SCALES, *exponents):
        known = "float32, bfloat16 or float16" + (", or E8M0" if exponents else "")
        raise UnsupportedFormat("unsupported-dtype", f"dtype {infos[name].dtype}, expected {known}", where=name)
    _grid(scheme, infos, name)
    return Measured(out_features, in_features, _dtype(scheme, infos[name].dtype))


def decode(scheme: Scheme, tensors: Tensors) -> Scaled:
    infos = checks.headers(tensors)
    found = measure(scheme, infos)
    (name,) = _scales(infos)
    stored = tensors[name]
    exponents = stored if stored.dtype == mx.uint8 else None
    scales = stored if exponents is None else e8m0(exponents)
    checks.finite({name: scales}, name)
    rows, columns, block = _grid(scheme, infos, name)
    return Scaled(
        codes=tensors["weight"],
        values="e4m3",
        scales=scales.astype(mx.float32).reshape(rows, columns),
        block=block,
        dtype=found.dtype,
        rounds_scales=scheme.layout == "modelopt",
        exponents=None if exponents is None else exponents.reshape(rows, columns),
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)


def _scales(infos: Infos) -> list[str]:
    return [checks.leaf(mark) for mark in MARKS if checks.leaf(mark) in infos]


def _dtype(scheme: Scheme, stored: str) -> mx.Dtype:
    """Of the weight: the scales' own where they have 16 bits, or where the layout computes in it."""
    own = {"F16": mx.float16, "BF16": mx.bfloat16, "F32": mx.float32}.get(stored, mx.bfloat16)
    if scheme.layout in ("modelopt", "fbgemm"):
        return mx.bfloat16
    return own if own != mx.float32 or scheme.layout in _COMPRESSED else mx.bfloat16


def _grid(scheme: Scheme, infos: Infos, name: str) -> tuple[int, int, tuple[int, int]]:
    """Rows and columns of the scales, and the block that each of them covers; ``bad-shape`` for another grid."""
    out_features, in_features = infos["weight"].shape
    shape = infos[name].shape
    # ModelOpt spells the axes of its blocks [out / rows, 1, in / columns, 1].
    axes = tuple(size for place, size in enumerate(shape) if len(shape) < 4 or place % 2 == 0 or size != 1)
    whole = (out_features, in_features)
    per_output = (1, in_features)
    if scheme.block is not None:
        rows, columns = scheme.block
        due = -(-out_features // rows), -(-in_features // columns)
        if name == "scale" and axes == (out_features, due[1]):
            return *axes, (1, columns)
        if axes != due:
            raise checks.bad_shape(
                infos, name, f"{list(whole)} weights in blocks of {rows} by {columns} take {list(due)} scales"
            )
        return *due, (rows, columns)
    if infos[name].size == 1 and len(shape) <= 2 and scheme.layout != "fbgemm":
        return 1, 1, whole
    if axes in ((out_features,), (out_features, 1)):
        return out_features, 1, per_output
    fewer = "" if scheme.layout == "fbgemm" else "one scale, or "
    raise checks.bad_shape(infos, name, f"expected {fewer}one for each of {out_features} outputs")
