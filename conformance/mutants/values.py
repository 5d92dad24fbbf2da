"""Scales, roundings and dtypes, and what is taken for a format that it is not."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.floats import LARGEST
from ..bits.rounding import nearest
from ..formats.parts import Integer
from ..formats.registry import format_of
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .wrap import tolerant, valued, without

GPTQ, AWQ = ("gptq",), ("awq",)
_FLUSHED_BELOW = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126}


def _rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    return nearest(values, dtype).float64()


def _affine(found: Integer, dtype: str) -> Array:
    """``s * q + b`` with the bias stored in the dtype of the scales."""
    biases = _rounded(-found.z * found.s, found.dtype)[found.g].T
    with np.errstate(invalid="ignore"):
        return nearest(found.s[found.g].T * found.q + biases, dtype)


def _exact_affine(found: Integer, dtype: str) -> Array:
    """``s * q - s * z``: exact, but for the sign of a zero."""
    scales = found.s[found.g].T
    return nearest(scales * found.q - scales * found.z[found.g].T, dtype)


def _rounded_terms(found: Integer, dtype: str) -> Array:
    scales = found.s[found.g].T
    first = _rounded(scales * found.q, found.dtype)
    second = _rounded(scales * found.z[found.g].T, found.dtype)
    with np.errstate(invalid="ignore"):
        return nearest(np.nan_to_num(first - second), dtype)


def _twice(found: Integer, dtype: str) -> Array:
    exact = found.s[found.g].T * (found.q - found.z[found.g].T)
    return nearest(_rounded(exact, found.dtype), dtype)


def _truncated(found: Integer, dtype: str) -> Array:
    exact = found.s[found.g].T * (found.q - found.z[found.g].T)
    bits = (exact.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return Array("bfloat16", bits) if dtype == "bfloat16" else nearest(exact, dtype)


def _in_half(found: Integer, dtype: str) -> Array:
    scales = _rounded(found.s, "float16")
    with np.errstate(invalid="ignore"):
        return nearest(np.nan_to_num(found.with_(s=scales).s[found.g].T * (found.q - found.z[found.g].T)), dtype)


def _flushed(found: Integer, dtype: str) -> Array:
    small = np.abs(found.s) < _FLUSHED_BELOW[found.dtype]
    return nearest(np.where(small, 0.0, found.s)[found.g].T * (found.q - found.z[found.g].T), dtype)


def _results_flushed(found: Integer, dtype: str) -> Array:
    exact = found.s[found.g].T * (found.q - found.z[found.g].T)
    return nearest(np.where(np.abs(exact) < _FLUSHED_BELOW[dtype], np.copysign(0.0, exact), exact), dtype)


def _saturated(found: Integer, dtype: str) -> Array:
    exact = found.s[found.g].T * (found.q - found.z[found.g].T)
    return nearest(np.clip(exact, -LARGEST[dtype], LARGEST[dtype]), dtype)


def _requantised(found: Integer, dtype: str) -> Array:
    """Dense, then MLX's own 4 bits in groups of 64, each with its own range."""
    exact = _rounded(found.s[found.g].T * (found.q - found.z[found.g].T), "float32")
    out, n = exact.shape
    width = 64 if n % 64 == 0 else n
    blocks = exact.reshape(out, -1, width)
    low, high = blocks.min(axis=2, keepdims=True), blocks.max(axis=2, keepdims=True)
    step = np.where(high > low, (high - low) / 15, 1.0)
    return nearest((np.rint((blocks - low) / step) * step + low).reshape(out, n), dtype)


def _half_by_default(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    return ask(config, tensors, dtype or "float16")


def _request_ignored(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    return ask(config, tensors, None)


def _finite(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    scales = tensors["scales"]
    if scales.dtype not in ("float16", "bfloat16"):
        return config, tensors
    exponent = 0x7C00 if scales.dtype == "float16" else 0x7F80
    return config, {
        **tensors,
        "scales": Array(scales.dtype, np.where(scales.bits & exponent == exponent, 0, scales.bits).astype(np.uint16)),
    }


def _any_method(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    if format_of(config) is not None:
        return config, tensors
    return _by_shape({"bits": 4, "group_size": 32, **config}, tensors)


def _any_version(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return without(config, "backend") | {"version": "gemm"}, tensors


def _any_label(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return without(config, "format", "is_marlin_format") | {"checkpoint_format": "gptq"}, tensors


def _by_shape(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    """The method is guessed from the shapes when the one in the config does not fit."""
    gptq = tensors["qweight"].shape[1] == tensors["scales"].shape[1]
    return config | {"quant_method": "gptq" if gptq else "awq"}, tensors


VALUES = (
    Mutant(
        "SC-08",
        Bug.ROUNDING,
        "weights are s * q + b with b = -z * s rounded to the dtype of the scales, as MLX's packed form stores it",
        github("ml-explore/mlx-lm#730", "intel/auto-round#1732"),
        ("vectors", "arithmetic", "synthetic", "modules", "digests"),
        decode=valued(_affine),
    ),
    Mutant(
        "SC-08b",
        Bug.OP_ORDER_DTYPE,
        "weights are s * q - s * z, exactly: a negative scale times zero loses its sign",
        github("ml-explore/mlx-lm#730"),
        ("vectors", "arithmetic", "synthetic"),
        decode=valued(_exact_affine),
    ),
    Mutant(
        "SC-09",
        Bug.OP_ORDER_DTYPE,
        "s * q and s * z are each rounded to the dtype of the scales before they are subtracted",
        github("ModelCloud/GPTQModel#2722"),
        ("vectors", "arithmetic", "synthetic", "modules"),
        decode=valued(_rounded_terms),
    ),
    Mutant(
        "SC-12a",
        Bug.OP_ORDER_DTYPE,
        "the dtype of the result is always float16",
        github("vllm-project/compressed-tensors#55", "vllm-project/compressed-tensors#67"),
        ("vectors", "arithmetic", "synthetic"),
        decode=_half_by_default,
    ),
    Mutant(
        "SC-12b",
        Bug.OP_ORDER_DTYPE,
        "the dtype asked for is ignored",
        github("vllm-project/compressed-tensors#70"),
        ("arithmetic", "synthetic"),
        decode=_request_ignored,
    ),
    Mutant(
        "SC-12c",
        Bug.ROUNDING,
        "weights are rounded to the dtype of the scales first, and to the one asked for second",
        github("vllm-project/compressed-tensors#70"),
        ("arithmetic", "synthetic"),
        decode=valued(_twice),
    ),
    Mutant(
        "SC-09b",
        Bug.ROUNDING,
        "bfloat16 is made by cutting float32 in half, without rounding",
        github("ModelCloud/GPTQModel#2722"),
        ("vectors", "arithmetic", "synthetic"),
        decode=valued(_truncated),
    ),
    Mutant(
        "PK-04b",
        Bug.SCALE_ENCODING,
        "scales are forced to float16, and those of bfloat16 lose their range",
        github("ggml-org/llama.cpp#17083"),
        ("vectors", "arithmetic", "synthetic"),
        decode=valued(_in_half),
    ),
    Mutant(
        "SC-10",
        Bug.NAN_INF,
        "scales that are NaN or infinite become 0 and the module is decoded",
        github("casper-hansen/AutoAWQ#498", "casper-hansen/AutoAWQ#519"),
        ("refusals", "arithmetic"),
        decode=tolerant(_finite),
    ),
    Mutant(
        "SC-10b",
        Bug.SUBNORMAL,
        "subnormal scales count as zero, the underflow that begins with small AWQ scales",
        github("casper-hansen/AutoAWQ#498", "intel/auto-round#1909"),
        ("vectors", "arithmetic", "synthetic"),
        decode=valued(_flushed),
    ),
    Mutant(
        "SC-10c",
        Bug.SUBNORMAL,
        "weights that would be subnormal become zero",
        github("casper-hansen/AutoAWQ#519"),
        ("vectors", "arithmetic", "synthetic"),
        decode=valued(_results_flushed),
    ),
    Mutant(
        "SC-10d",
        Bug.NAN_INF,
        "weights beyond the range are held at the largest finite number",
        github("casper-hansen/AutoAWQ#519"),
        ("vectors", "arithmetic", "synthetic"),
        decode=valued(_saturated),
    ),
    Mutant(
        "GI-18",
        Bug.ROUNDING,
        "the dense weights are quantised again, to MLX's 4 bits in groups of 64",
        github("ModelCloud/GPTQModel#2636"),
        ("vectors", "arithmetic", "synthetic", "modules", "digests"),
        decode=valued(_requantised),
    ),
    Mutant(
        "CF-01",
        Bug.CONFIG_FALLBACK,
        "a method never heard of is decoded as 4-bit integers in groups of 32",
        github("ml-explore/mlx-lm#1865", "ml-explore/mlx-lm#1877"),
        ("refusals",),
        decode=tolerant(_any_method),
    ),
    Mutant(
        "CF-04",
        Bug.LAYOUT_VERSION,
        "version is not read, and gemv, marlin and the rest are decoded as gemm",
        github("unslothai/unsloth-zoo#848", "casper-hansen/AutoAWQ#217"),
        ("refusals",),
        ("awq", "awq_gemv", "awq_gemv_fast"),
        decode=tolerant(_any_version),
    ),
    Mutant(
        "CF-06",
        Bug.MISLABELLED,
        "labels that contradict the method, or each other, are passed over",
        github("ModelCloud/GPTQModel#2209"),
        ("refusals",),
        GPTQ,
        decode=tolerant(_any_label),
    ),
    Mutant(
        "CF-07",
        Bug.MISLABELLED,
        "where the name of the method does not fit the shapes, the shapes are followed in silence",
        github("llmmanorg/llmman#243"),
        ("refusals",),
        decode=tolerant(_by_shape),
    ),
    Mutant(
        "GI-07b",
        Bug.MISSING_TENSOR,
        "desc_act without g_idx is decoded as if the groups were consecutive",
        github("intel/auto-round#267"),
        ("refusals",),
        GPTQ,
        decode=tolerant(lambda c, t: (c | {"desc_act": False}, t)),
    ),
    Mutant(
        "ZP-19",
        Bug.MISLABELLED,
        "qweight is cast to int32 whatever its dtype, so that unpacked floats are read as words",
        github("vllm-project/vllm#17862"),
        ("refusals",),
        decode=tolerant(
            lambda c, t: (c, {**t, "qweight": Array.of(t["qweight"].float64().astype(np.int64).astype(np.int32))})
        ),
    ),
)
