"""Faults of readers of ModelOpt's INT4: halves of bytes, signs, scales that divide, and scales of inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..formats.modelopt_int4.packing import Scaled
from ..formats.parts import Integer
from ..formats.registry import parts
from .model import Ask, Bug, Config, Mutant, Tensors
from .wrap import Decode


def _changed(matrix: Callable[[Integer, Tensors], Integer]) -> Decode:
    """A decode with the matrix changed, and the scales of inputs as they are."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        assert isinstance(found, Integer | Scaled)
        if isinstance(found, Scaled):
            return found.with_(matrix=matrix(found.matrix, tensors)).dense(dtype)
        return matrix(found, tensors).dense(dtype)

    return decode


def _inputs(change: Callable[[Scaled, str | None], Array]) -> Decode:
    """A decode that errs where inputs have scales."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        answer, found = ask(config, tensors, dtype), parts(config, tensors)
        return change(found, dtype or found.dtype) if isinstance(found, Scaled) else answer

    return decode


def _swapped(found: Integer, tensors: Tensors) -> Integer:
    """The high half of a byte is the even output."""
    pairs = found.q.reshape(-1, 2, found.q.shape[1])
    return found.with_(q=pairs[:, ::-1].reshape(found.q.shape))


def _along_inputs(found: Integer, tensors: Tensors) -> Integer:
    """Bytes hold two inputs of an output."""
    packed = tensors["weight"].bits.astype(np.int64)
    halves = np.stack([packed & 15, packed >> 4], axis=-1)
    return found.with_(q=(halves.reshape(found.q.shape) + 8) & 15)


def _halves(found: Integer, tensors: Tensors) -> Integer:
    """Low halves are the first half of the outputs."""
    pairs = found.q.reshape(-1, 2, found.q.shape[1])
    return found.with_(q=np.concatenate([pairs[:, 0], pairs[:, 1]]))


def _unsigned(found: Integer, tensors: Tensors) -> Integer:
    """Codes are counted from -8 in the file, as INT4QTensor has them."""
    return found.with_(q=found.q ^ 8)


def _inverse(found: Integer, tensors: Tensors) -> Integer:
    """Codes are divided by scales, as by those of INT4QTensor."""
    with np.errstate(all="ignore"):
        return found.with_(s=np.where(found.s == 0, 0.0, 1 / found.s))


def _in_bfloat16(found: Integer, tensors: Tensors) -> Integer:
    return found.with_(s=nearest(found.s, "bfloat16").float64())


def _turned(found: Integer, tensors: Tensors) -> Integer:
    """Scales in the order of [groups, out]."""
    return found.with_(s=np.ascontiguousarray(found.s.T).reshape(found.s.shape))


def _of_128(found: Integer, tensors: Tensors) -> Integer:
    """Groups have 128 inputs, whatever the scales say; what lies beyond the last one is its."""
    g = np.minimum(np.arange(found.q.shape[1]) // 128, len(found.s) - 1)
    return found.with_(g=g)


def _simulated(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    """Codes are divided by 7 over the largest magnitude, each step in float32."""
    answer, found = ask(config, tensors, dtype), parts(config, tensors)
    if not isinstance(found, Integer):
        return answer
    with np.errstate(all="ignore"):
        inverse = np.float32(7) / (found.s.astype(np.float32) * np.float32(7))
        values = (found.q - 8).astype(np.float32) / inverse[found.g].T
    return nearest(values.astype(np.float64), dtype or found.dtype)


def _forgotten(found: Scaled, dtype: str | None) -> Array:
    return found.matrix.dense(dtype)


def _divided(found: Scaled, dtype: str | None) -> Array:
    """The weight that meets inputs scaled already."""
    with np.errstate(all="ignore"):
        return found.with_(c=1 / found.c).dense(dtype)


def _of_outputs(found: Scaled, dtype: str | None) -> Array:
    """Scales of inputs multiply outputs."""
    with np.errstate(all="ignore"):
        rows = np.resize(found.c, found.shape[0])[:, None]
        products = nearest(found.matrix.dense("float32").float64() * rows, "float32")
        return nearest(products.float64(), dtype or found.dtype)


def _early(found: Scaled, dtype: str | None) -> Array:
    """The weight is rounded to bfloat16 before the scales of inputs meet it."""
    with np.errstate(all="ignore"):
        rounded = found.matrix.dense("bfloat16").float64()
        return nearest(nearest(rounded * found.c, "float32").float64(), dtype or found.dtype)


ARITHMETIC, LAYOUTS, VECTORS = "arithmetic", "layouts", "vectors"
_SOURCE = "https://github.com/NVIDIA/TensorRT-Model-Optimizer/blob/0.47.0/modelopt/torch/"
_UTILS, _QTENSOR, _SIMULATION = (
    (_SOURCE + file,)
    for file in (
        "export/quant_utils.py",
        "quantization/qtensor/int4_tensor.py",
        "quantization/tensor_quant.py",
    )
)
_TRT = "https://github.com/NVIDIA/TensorRT-LLM/blob/"
_DEPLOY = (
    f"{_TRT}319f5114a2744b322286be6be2721f782e7eee8a/tensorrt_llm/_torch/auto_deploy/custom_ops/quantization/"
    "torch_quant.py",
)
_KERNELS = (f"{_TRT}ed53795b33fc139493f762a1c6c53f691cf52d38/tensorrt_llm/_torch/modules/linear.py",)


def _mutant(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("modelopt_int4",), (4,), decode)


MODELOPT: tuple[Mutant, ...] = (
    _mutant("MO-01", Bug.NIBBLE_ORDER, "the high half of a byte of INT4 is the even output", _QTENSOR,
            (VECTORS, LAYOUTS), _changed(_swapped)),
    _mutant("MO-01b", Bug.INTERLEAVE, "low halves of INT4 are the first half of the outputs", _UTILS,
            (VECTORS, LAYOUTS), _changed(_halves)),
    _mutant("MO-02", Bug.PACK_AXIS, "a byte of INT4 holds two inputs, as INT4QTensor has them", _QTENSOR,
            (VECTORS, LAYOUTS), _changed(_along_inputs)),
    _mutant("MO-03", Bug.SIGNEDNESS, "codes of INT4 are counted from -8, not in two's complement", _QTENSOR,
            (VECTORS, ARITHMETIC, LAYOUTS), _changed(_unsigned)),
    _mutant("MO-04", Bug.MISSING_TENSOR, "pre_quant_scale is left out", _UTILS, (VECTORS, ARITHMETIC),
            _inputs(_forgotten)),
    _mutant("MO-04b", Bug.SCALE_ENCODING, "pre_quant_scale divides", _UTILS, (VECTORS, ARITHMETIC), _inputs(_divided)),
    _mutant("MO-04c", Bug.PACK_AXIS, "pre_quant_scale multiplies outputs", _UTILS, (VECTORS, ARITHMETIC),
            _inputs(_of_outputs)),
    _mutant("MO-05", Bug.OP_ORDER_DTYPE, "weights are rounded to bfloat16 before pre_quant_scale meets them", _DEPLOY,
            (VECTORS, ARITHMETIC), _inputs(_early)),
    _mutant("MO-06", Bug.SCALE_ENCODING, "weight_scale divides, as the scales of INT4QTensor do", _QTENSOR,
            (VECTORS, ARITHMETIC), _changed(_inverse)),
    _mutant("MO-06b", Bug.OP_ORDER_DTYPE, "codes are divided by 7 over the largest magnitude", _SIMULATION,
            (VECTORS, ARITHMETIC), _simulated),
    _mutant("MO-07", Bug.GROUP_INDEX, "groups have 128 inputs, whatever the scales say", _DEPLOY, (VECTORS, LAYOUTS),
            _changed(_of_128)),
    _mutant("MO-07b", Bug.PACK_AXIS, "scales of INT4 are read transposed", _KERNELS, (VECTORS, LAYOUTS),
            _changed(_turned)),
    _mutant("MO-08", Bug.OP_ORDER_DTYPE, "scales of INT4 are rounded to bfloat16 before the product", _KERNELS,
            (VECTORS, ARITHMETIC), _changed(_in_bfloat16)),
)  # fmt: skip
