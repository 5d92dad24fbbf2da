"""Faults of readers of floats of four bits: nibbles, tables, scales and stacks of experts taken for others."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.floats import E8M0
from ..bits.rounding import nearest
from ..formats.scaled import Scaled
from .floats import changed_parts, computed
from .model import Bug, Config, Mutant, Tensors, github
from .wrap import Decode

MXFP4, NVFP4 = ("mxfp4",), ("nvfp4",)


def _swapped(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """The high nibble of a byte first."""
    pairs = found.q.reshape(*found.q.shape[:-1], -1, 2)
    return found.with_(q=pairs[..., ::-1].reshape(found.q.shape))


def _halved(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Low nibbles for the first half of a group, high ones for the second, as GGUF lays its own blocks."""
    width = found.block[1]
    groups = found.q.reshape(*found.q.shape[:-1], -1, width // 2, 2)
    return found.with_(q=np.swapaxes(groups, -1, -2).reshape(found.q.shape))


def _integers(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Codes taken for whole numbers with a sign."""
    return found.with_(values=np.array([*range(8), *range(-8, 0)], np.float64))


def _doubled(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """A table of doubled values, as kernels of whole numbers keep it, without the half that belongs to it."""
    return found.with_(values=found.values * 2)


def _no_subnormal(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(values=np.where(np.abs(found.values) == 0.5, np.copysign(0.0, found.values), found.values))


def _as_numbers(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Bytes of exponents that multiply as they are."""
    return found.with_(s=np.log2(found.s) + 127)


def _biased_by_128(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=found.s / 2)


def _offset_twice(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=found.s / 4)


def _zero_byte(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=np.where(found.s == 2.0**-127, 0.0, found.s))


def _unsigned_zero(found: Scaled, dtype: str) -> Array:
    dense = found.dense(dtype)
    return Array(dense.dtype, np.where(dense.float64() == 0, 0, dense.bits).astype(dense.bits.dtype))


def _clipped(found: Scaled, dtype: str) -> Array:
    """What overflows becomes the largest number."""
    dense = found.dense(dtype)
    bits = np.where(np.isinf(dense.float64()), dense.bits - 1, dense.bits)
    return Array(dense.dtype, bits.astype(dense.bits.dtype))


def _turned(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Rows of scales along the inputs, as far as the grid has them."""
    return found.with_(s=np.resize(np.swapaxes(found.s, -1, -2), found.s.shape))


def _per_output(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=np.broadcast_to(found.s[..., :1], found.s.shape))


def _first_expert(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """The scales of the first expert for all of them."""
    return found.with_(s=np.broadcast_to(found.s[:1], found.s.shape)) if found.s.ndim == 3 else found


def _experts_mixed(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Experts counted from output to output, as if their axis came second."""
    if found.q.ndim != 3:
        return found
    experts, out, _ = found.q.shape
    order = np.arange(experts * out).reshape(out, experts).T.ravel()
    rows, scales = (part.reshape(experts * out, -1)[order].reshape(part.shape) for part in (found.q, found.s))
    return found.with_(q=rows, s=scales)


def _halves_of_rows(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Rows of gate and up that are stored in turn, put one after the other."""
    if found.q.ndim != 3 or found.q.shape[1] % 2:
        return found
    order = np.r_[0 : found.q.shape[1] : 2, 1 : found.q.shape[1] : 2]
    return found.with_(q=found.q[:, order], s=found.s[:, order])


def _both(tensors: Tensors) -> tuple[np.ndarray, np.ndarray, bool]:
    """Scales of groups and of the matrix, float64, and whether the latter divides."""
    divides = "weight_global_scale" in tensors
    whole = tensors["weight_global_scale" if divides else "weight_scale_2"].float64()
    return tensors["weight_scale"].float64(), whole.reshape(-1, 1, 1) if whole.size > 1 else whole.reshape(()), divides


def _inverted(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """The scale of the matrix divides where it multiplies, and the other way round."""
    groups, whole, divides = _both(tensors)
    return found.with_(s=nearest(groups * whole if divides else groups / whole, "float32").float64())


def _left_out(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=_both(tensors)[0])


def _as_exponents(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Bytes of E4M3 taken for those of E8M0."""
    _, whole, divides = _both(tensors)
    powers = np.nan_to_num(E8M0[tensors["weight_scale"].bits])
    return found.with_(s=nearest(powers / whole if divides else powers * whole, "float32").float64())


def _widened(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Groups of 32, as MXFP4 has them: each second scale is not read."""
    return found.with_(s=np.repeat(found.s[..., ::2], 2, axis=-1)[..., : found.s.shape[-1]])


def _in_bfloat16(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=nearest(found.s, "bfloat16").float64())


def _one_by_one(found: Scaled, dtype: str) -> Array:
    """Rounded to the dtype of the result before the scale of the matrix is taken in; powers of two are left out."""
    parts = np.frexp(found.s)
    return nearest(np.ldexp(found.with_(s=parts[0]).dense(dtype).float64(), found.spread(parts[1])), dtype)


def _first_whole(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """The scale of the first expert's matrix for all of them."""
    groups, whole, divides = _both(tensors)
    if whole.size == 1:
        return found
    return found.with_(s=nearest(groups / whole[:1] if divides else groups * whole[:1], "float32").float64())


def _other_zero(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """ModelOpt's code 8 with a sign, and that of the others without."""
    values = found.values.copy()
    values[8] = -values[8]
    return found.with_(values=values)


def _zero_of_a_table(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Code 8 of DeepSeek's experts without a sign, as the table of its own converter has it."""
    if "scale" not in tensors:
        return found
    values = found.values.copy()
    values[8] = 0.0
    return found.with_(values=values)


def _blocks_of_others(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """DeepSeek's experts in groups as wide as the blocks of the other modules."""
    if "scale" not in tensors:
        return found
    wide = config["weight_block_size"][1] // found.block[1]
    return found.with_(s=found.s[..., np.arange(found.s.shape[-1]) // wide])


ARITHMETIC, LAYOUTS, VECTORS = "arithmetic", "layouts", "vectors"
_OCP = ("https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf",)
_SOURCE = "https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/integrations/mxfp4.py"
_TRANSFORMERS = (_SOURCE,)
_FINE_GRAINED = (_SOURCE.replace("mxfp4", "finegrained_fp8"),)
_DEEPSEEK = ("https://huggingface.co/deepseek-ai/DeepSeek-V4-Flash/blob/main/inference/convert.py",)
_TWICE = github("vllm-project/vllm#35979", "vllm-project/compressed-tensors#538")
_MLX_LM = github("ml-explore/mlx-lm#1865")
_TENSORS = "https://github.com/NVIDIA/TensorRT-Model-Optimizer/blob/0.47.0/modelopt/torch/quantization/qtensor"
_MODELOPT = (f"{_TENSORS}/nvfp4_tensor.py",)
_PACKED = "https://github.com/vllm-project/compressed-tensors/blob/0.19.0/src/compressed_tensors/compressors"
_COMPRESSED = (f"{_PACKED}/nvfp4/base.py",)
_GGUF = ("https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-quants.c",)


def _mutant(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, MXFP4, (4,), decode)


def _nvfp4(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, NVFP4, (4,), decode)


FOURS: tuple[Mutant, ...] = (
    _mutant("FP-11", Bug.NIBBLE_ORDER, "the high nibble of a byte of MXFP4 comes first", _TRANSFORMERS,
            (VECTORS, ARITHMETIC, LAYOUTS), changed_parts(_swapped)),
    _mutant("FP-11b", Bug.INTERLEAVE, "low nibbles of MXFP4 make the first half of a group, as GGUF has them", _GGUF,
            (VECTORS, LAYOUTS), changed_parts(_halved)),
    _mutant("FP-12", Bug.LAYOUT_VERSION, "codes of MXFP4 are read as whole numbers", _MLX_LM,
            (VECTORS, ARITHMETIC, LAYOUTS), changed_parts(_integers)),
    _mutant("FP-12b", Bug.SCALE_ENCODING, "a table of doubled values of E2M1 is not halved", _GGUF,
            (VECTORS, ARITHMETIC), changed_parts(_doubled)),
    _mutant("FP-13", Bug.SUBNORMAL, "0.5, the subnormal of E2M1, is taken for zero", _OCP, (VECTORS, ARITHMETIC),
            changed_parts(_no_subnormal)),
    _mutant("FP-14", Bug.SCALE_ENCODING, "exponents of MXFP4 multiply as they are", _OCP, (VECTORS, ARITHMETIC),
            changed_parts(_as_numbers)),
    _mutant("FP-14b", Bug.SUBNORMAL, "byte 0 of a scale of MXFP4 is taken for zero", _OCP, (VECTORS, ARITHMETIC),
            changed_parts(_zero_byte)),
    _mutant("FP-14c", Bug.SCALE_ENCODING, "the offset of MXFP4's exponents is taken off twice: a quarter remains",
            _TWICE, (VECTORS, ARITHMETIC), changed_parts(_offset_twice)),
    _mutant("FP-14d", Bug.SCALE_ENCODING, "the bias of MXFP4's exponents is taken for 128", _OCP,
            (VECTORS, ARITHMETIC), changed_parts(_biased_by_128)),
    _mutant("FP-15", Bug.SIGNEDNESS, "a zero of E2M1 loses its sign", _OCP, (VECTORS, ARITHMETIC),
            computed(_unsigned_zero)),
    _mutant("FP-15b", Bug.NAN_INF, "products of MXFP4 that overflow are clipped", _TRANSFORMERS,
            (VECTORS, ARITHMETIC), computed(_clipped)),
    _mutant("FP-16", Bug.PACK_AXIS, "scales of MXFP4 are read transposed", _TRANSFORMERS, (VECTORS, LAYOUTS),
            changed_parts(_turned)),
    _mutant("FP-16b", Bug.GROUP_INDEX, "the first scale of an output of MXFP4 stands for all", _TRANSFORMERS,
            (VECTORS, LAYOUTS), changed_parts(_per_output)),
    _mutant("FP-17", Bug.GROUP_INDEX, "the scales of the first expert stand for all", _TRANSFORMERS,
            (VECTORS, LAYOUTS), changed_parts(_first_expert)),
    _mutant("FP-17b", Bug.PACK_AXIS, "the axis of experts is taken for the second", _TRANSFORMERS,
            (VECTORS, LAYOUTS), changed_parts(_experts_mixed)),
    _mutant("FP-17c", Bug.INTERLEAVE, "rows of gate and up, stored in turn, are put one after the other",
            _TRANSFORMERS, (VECTORS, LAYOUTS), changed_parts(_halves_of_rows)),
    _mutant("FP-18", Bug.SIGNEDNESS, "code 8 of DeepSeek's experts is a zero without a sign", _DEEPSEEK,
            (VECTORS, ARITHMETIC), changed_parts(_zero_of_a_table)),
    _mutant("FP-18b", Bug.GROUP_INDEX, "DeepSeek's experts have groups as wide as weight_block_size", _FINE_GRAINED,
            (VECTORS, "policies"), changed_parts(_blocks_of_others)),
    _nvfp4("FP-21", Bug.NIBBLE_ORDER, "the high nibble of a byte of NVFP4 comes first", _MODELOPT,
           (VECTORS, ARITHMETIC, LAYOUTS), changed_parts(_swapped)),
    _nvfp4("FP-21b", Bug.LAYOUT_VERSION, "codes of NVFP4 are read as whole numbers", _MLX_LM,
           (VECTORS, ARITHMETIC, LAYOUTS), changed_parts(_integers)),
    _nvfp4("FP-22", Bug.SCALE_ENCODING, "the scale of the matrix divides in place of multiplying, or the other way",
           _COMPRESSED, (VECTORS, ARITHMETIC), changed_parts(_inverted)),
    _nvfp4("FP-22b", Bug.SCALE_ENCODING, "the scale of the matrix is left out", _MLX_LM, (VECTORS, ARITHMETIC),
           changed_parts(_left_out)),
    _nvfp4("FP-23", Bug.SCALE_ENCODING, "scales of NVFP4 are read as exponents", _MODELOPT, (VECTORS, ARITHMETIC),
           changed_parts(_as_exponents)),
    _nvfp4("FP-23b", Bug.GROUP_INDEX, "groups of NVFP4 are taken for those of MXFP4, twice as wide", _MODELOPT,
           (VECTORS, LAYOUTS), changed_parts(_widened)),
    _nvfp4("FP-24", Bug.OP_ORDER_DTYPE, "the product of both scales is rounded to bfloat16", _MODELOPT,
           (VECTORS, ARITHMETIC), changed_parts(_in_bfloat16)),
    _nvfp4("FP-24b", Bug.SUBNORMAL, "products of NVFP4 are rounded before their exponent is applied", _MODELOPT,
           (VECTORS, ARITHMETIC), computed(_one_by_one)),
    _nvfp4("FP-25", Bug.SIGNEDNESS, "code 8 has a sign where ModelOpt has none, or none elsewhere", _MODELOPT,
           (VECTORS, ARITHMETIC), changed_parts(_other_zero)),
    _nvfp4("FP-26", Bug.PACK_AXIS, "scales of NVFP4 are read transposed", _MODELOPT, (VECTORS, LAYOUTS),
           changed_parts(_turned)),
    _nvfp4("FP-26b", Bug.GROUP_INDEX, "the first scale of an output of NVFP4 stands for all", _MODELOPT,
           (VECTORS, LAYOUTS), changed_parts(_per_output)),
    _nvfp4("FP-27", Bug.GROUP_INDEX, "the first expert's scale of the matrix stands for all", _MODELOPT, (VECTORS,),
           changed_parts(_first_whole)),
)  # fmt: skip
