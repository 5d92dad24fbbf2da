"""Faults of readers of FP8 and FP4: scales upside down, blocks that are guessed, roundings in another place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..bits.array import Array
from ..bits.floats import E8M0, table
from ..bits.rounding import nearest
from ..formats.registry import parts
from ..formats.scaled import Scaled
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .wrap import Decode

FP8 = ("fp8",)


def changed_parts(change: Callable[[Scaled, Config, Tensors], Scaled]) -> Decode:
    """A decode with one of its parts changed."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        assert isinstance(found, Scaled)
        with np.errstate(all="ignore"):
            return change(found, config, tensors).dense(dtype)

    return decode


def computed(value: Callable[[Scaled, str], Array]) -> Decode:
    """A decode with sound parts and an arithmetic of its own."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        assert isinstance(found, Scaled)
        with np.errstate(all="ignore"):
            return value(found, dtype or found.dtype)

    return decode


def _divided(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=np.where(found.s == 0, 0.0, 1 / found.s))


def _divided_above_one(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return _divided(found, config, tensors) if np.abs(found.s).max() > 1 else found


def _stretched(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Blocks of equal size, as many as there are scales: other blocks where those at the edges are cut short."""
    rows, columns = (-(-size // count) for size, count in zip(found.shape, found.s.shape, strict=True))
    return found.with_(block=(rows, columns))


def _turned(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Rows of scales along the inputs, as far as the grid has them."""
    return found.with_(s=np.resize(found.s.T, found.s.shape))


def _first_block(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=np.full_like(found.s, found.s.flat[0]))


def _integers(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Bytes taken for signed whole numbers."""
    return found.with_(values=np.arange(256).astype(np.uint8).view(np.int8).astype(np.float64))


def _e5m2(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(values=np.nan_to_num(table(5, 2, 15)))


def _fnuz(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """E4M3 as one vendor's hardware has it: a bias of 8."""
    return found.with_(values=found.values / 2)


def _unsigned_zero(found: Scaled, dtype: str) -> Array:
    dense = found.dense(dtype)
    return Array(dense.dtype, np.where(dense.float64() == 0, 0, dense.bits).astype(dense.bits.dtype))


def _flushed(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Subnormal codes taken for zero."""
    least = 2.0**-6
    return found.with_(values=np.where(np.abs(found.values) < least, np.copysign(0.0, found.values), found.values))


def _bytes_as_numbers(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """E8M0 bytes used as multipliers."""
    stored = next((tensors[name] for name in ("weight_scale_inv", "weight_scale") if name in tensors), None)
    if stored is None or stored.dtype not in ("uint8", "float8_e8m0fnu"):
        return found
    return found.with_(s=stored.bits.astype(np.float64).reshape(found.s.shape))


def _biased_by_128(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    exponent = np.isin(found.s, E8M0[:-1]).all() and _bytes_as_numbers(found, config, tensors) is not found
    return found.with_(s=found.s / 2) if exponent else found


def _zero_byte(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """E8M0 byte 0 taken for zero, as the exponent of a float32 is."""
    return found.with_(s=np.where(found.s == 2.0**-127, 0.0, found.s))


def _in_bfloat16(found: Scaled, dtype: str) -> Array:
    """Scales cast to bfloat16 before the product, whoever wrote them."""
    return found.with_(rounds_scales=False, s=nearest(found.s, "bfloat16").float64()).dense(dtype)


def _in_float16(found: Scaled, dtype: str) -> Array:
    return found.with_(rounds_scales=False, s=np.nan_to_num(nearest(found.s, "float16").float64())).dense(dtype)


def _never_rounded(found: Scaled, dtype: str) -> Array:
    return found.with_(rounds_scales=False).dense(dtype)


def _truncated(found: Scaled, dtype: str) -> Array:
    dense = found.dense("float32")
    return Array("bfloat16", (dense.bits >> 16).astype(np.uint16)) if dtype == "bfloat16" else found.dense(dtype)


def _ignored(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=np.ones_like(found.s))


def _per_output(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """One scale an output: the first of its row of blocks."""
    return found.with_(s=np.broadcast_to(found.s[:, :1], found.s.shape))


def _of_the_scales(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """FBGEMM's weights in the dtype of its scales."""
    fbgemm = config.get("quant_method") == "fbgemm_fp8"
    return found.with_(dtype=tensors["weight_scale"].dtype) if fbgemm else found


def _bounded(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """The bound of activations taken for one of weights."""
    bound = config.get("activation_scale_ub")
    return found if bound is None else found.with_(s=np.minimum(found.s, bound))


def _found_by_name(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Scales that are looked for under one name alone: a cast where they have the other."""
    return found.with_(s=np.ones_like(found.s)) if "scale" in tensors else found


def _of_tiles(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Scales of rows taken for those of tiles, of which the first ones are enough."""
    if "scale" not in tensors or found.block[0] != 1:
        return found
    return found.with_(block=(config["weight_block_size"][0], found.block[1]))


ARITHMETIC, LAYOUTS, VECTORS, SYNTHETIC = "arithmetic", "layouts", "vectors", "synthetic"
_MLX_LM = github("ml-explore/mlx-lm#1865")
_EDGES = github("ModelCloud/GPTQModel#2875")
# Where nobody is known to have erred, the definition that the fault departs from.
_SOURCE = "https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/integrations/finegrained_fp8.py"
_TRANSFORMERS = (_SOURCE,)
_MODELOPT = (
    "https://github.com/NVIDIA/TensorRT-Model-Optimizer/blob/0.47.0/modelopt/torch/quantization/qtensor/fp8_tensor.py",
)
_FBGEMM = ("https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/integrations/fbgemm_fp8.py",)
_RENAMED = (_SOURCE.replace("integrations/", "quantizers/quantizer_"),)
_GPTQMODEL = ("https://github.com/ModelCloud/GPTQModel/blob/v7.7.0/gptqmodel/quantization/dtype.py",)
_E4M3 = ("https://arxiv.org/abs/2209.05433",)
_E8M0 = ("https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf",)


def _mutant(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, FP8, (8,), decode)


FLOATS: tuple[Mutant, ...] = (
    _mutant("FP-01", Bug.SCALE_ENCODING, "weight_scale_inv divides, as its name says", _TRANSFORMERS,
            (VECTORS, ARITHMETIC, SYNTHETIC), changed_parts(_divided)),
    _mutant("FP-01b", Bug.SCALE_ENCODING, "scales divide if one of them is larger than 1", _GPTQMODEL,
            (VECTORS, ARITHMETIC), changed_parts(_divided_above_one)),
    _mutant("FP-02", Bug.LAYOUT_VERSION, "bytes of FP8 are read as whole numbers", _MLX_LM,
            (VECTORS, ARITHMETIC, LAYOUTS), changed_parts(_integers)),
    _mutant("FP-02b", Bug.SCALE_ENCODING, "E4M3 is read as E5M2", _E4M3, (VECTORS, ARITHMETIC), changed_parts(_e5m2)),
    _mutant("FP-02c", Bug.SCALE_ENCODING, "E4M3 is read with the bias of E4M3FNUZ", _E4M3,
            (VECTORS, ARITHMETIC), changed_parts(_fnuz)),
    _mutant("FP-03", Bug.SHAPE_PADDING, "the block is derived from the grid, wrong where edges are cut short",
            _EDGES, (VECTORS, LAYOUTS), changed_parts(_stretched)),
    _mutant("FP-04", Bug.PACK_AXIS, "the grid of scales is read transposed", _TRANSFORMERS,
            (VECTORS, LAYOUTS), changed_parts(_turned)),
    _mutant("FP-04b", Bug.GROUP_INDEX, "the first scale stands for all blocks", _TRANSFORMERS,
            (VECTORS, LAYOUTS), changed_parts(_first_block)),
    _mutant("FP-04c", Bug.GROUP_INDEX, "the first scale of a row of blocks stands for the row", _TRANSFORMERS,
            (VECTORS, LAYOUTS), changed_parts(_per_output)),
    _mutant("FP-04d", Bug.SCALE_ENCODING, "scales are left out: FP8 is cast", _TRANSFORMERS, (VECTORS, ARITHMETIC),
            changed_parts(_ignored)),
    _mutant("FP-05", Bug.OP_ORDER_DTYPE, "float32 scales are cast to bfloat16 before the product", _TRANSFORMERS,
            (VECTORS, ARITHMETIC), computed(_in_bfloat16)),
    _mutant("FP-05b", Bug.OP_ORDER_DTYPE, "scales are cast to float16 before the product", _TRANSFORMERS,
            (VECTORS, ARITHMETIC), computed(_in_float16)),
    _mutant("FP-05c", Bug.OP_ORDER_DTYPE, "ModelOpt's scales are not rounded to bfloat16 first", _MODELOPT,
            (VECTORS, ARITHMETIC), computed(_never_rounded)),
    _mutant("FP-06", Bug.ROUNDING, "float32 is cut off to bfloat16 rather than rounded", _TRANSFORMERS,
            (VECTORS, ARITHMETIC), computed(_truncated)),
    _mutant("FP-06b", Bug.SUBNORMAL, "subnormal codes are flushed to zero", _E4M3, (VECTORS, ARITHMETIC),
            changed_parts(_flushed)),
    _mutant("FP-06c", Bug.SIGNEDNESS, "a zero loses its sign", _E4M3, (VECTORS, ARITHMETIC), computed(_unsigned_zero)),
    _mutant("FP-07", Bug.SCALE_ENCODING, "bytes of E8M0 multiply as they are", _E8M0,
            (VECTORS, ARITHMETIC), changed_parts(_bytes_as_numbers)),
    _mutant("FP-07b", Bug.SCALE_ENCODING, "the bias of E8M0 is taken for 128", _E8M0, (VECTORS, ARITHMETIC),
            changed_parts(_biased_by_128)),
    _mutant("FP-07c", Bug.SUBNORMAL, "byte 0 of E8M0 is taken for zero", _E8M0, (VECTORS, ARITHMETIC),
            changed_parts(_zero_byte)),
    _mutant("FP-08", Bug.OP_ORDER_DTYPE, "FBGEMM's weights have the dtype of their scales", _FBGEMM,
            (VECTORS, "policies"), changed_parts(_of_the_scales)),
    _mutant("FP-08b", Bug.SCALE_ENCODING, "activation_scale_ub bounds the scales of weights", _FBGEMM,
            ("policies",), changed_parts(_bounded)),
    _mutant("FP-09", Bug.GROUP_INDEX, "DeepSeek's scales of rows are taken for those of tiles", _RENAMED,
            (VECTORS, "policies"), changed_parts(_of_tiles)),
    _mutant("FP-09b", Bug.SCALE_ENCODING, "a scale that is called scale is not found, and FP8 is cast", _RENAMED,
            (VECTORS, "policies"), changed_parts(_found_by_name)),
)  # fmt: skip
