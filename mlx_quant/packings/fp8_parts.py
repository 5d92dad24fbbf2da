"""FP8 in parts: E4M3 codes and scales of quanto's ``qfloat8`` and of torchao's ``Float8Tensor``, under their names.

On disk: codes F8_E4M3 [out, in], ``weight._data`` of quanto and ``_weight_qdata`` of torchao; scales in floats beside
them. quanto's ``weight._scale`` is [out, 1], or [] of one output; torchao's ``_weight_scale`` is [out / rows,
in / columns] in blocks that the header of the file names, or one element. Parameters of activations belong to no
weight.

    W = RN(RN32(q * s)), in the dtype of the scales of quanto, and in the one that torchao's header names

Sources: optimum-quanto 0.2.7, ``tensor/qbytes.py``, ``QBytesDequantizer``; torchao 0.18.0,
``quantization/quant_primitives.py``, ``_dequantize_affine_float8``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..files.folder import FLOATS
from ..weights.scaled import Scaled
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "fp8_parts"
TITLE = "FP8 in parts"
STATUS: Status = "enabled"
BITS = (8,)
LAYOUTS = ("qfloat8_e4m3fn", "Float8Tensor")
MARKS = (".weight._data", "._weight_qdata", ".weight._scale", "._weight_scale")
TENSORS = (*MARKS, ".input_scale", ".output_scale")

# Codes, scales, and what else may lie beside them.
_NAMES = {
    "qfloat8_e4m3fn": (".weight._data", ".weight._scale", ".input_scale", ".output_scale"),
    "Float8Tensor": ("._weight_qdata", "._weight_scale"),
}
_CODES = ("F8_E4M3", "U8")


def recognises(infos: Infos) -> bool:
    pairs = [(checks.leaf(codes), checks.leaf(scales)) for codes, scales, *_ in _NAMES.values()]
    return any(codes in infos and infos[codes].dtype in _CODES and scales in infos for codes, scales in pairs)


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "weights")
    own = _NAMES[scheme.layout]
    codes, scales = (checks.leaf(suffix) for suffix in own[:2])
    checks.present(infos, (codes, scales), own)
    checks.dtype(infos, codes, _CODES)
    out_features, in_features = checks.matrix(infos, codes)
    checks.floats(infos, scales)
    rows, columns = _block(scheme, out_features, in_features)
    if out_features % rows or in_features % columns:
        raise checks.bad_shape(infos, codes, f"blocks of {rows} by {columns} do not divide it")
    grid = (out_features // rows, in_features // columns)
    # Of a single scale the axes may be left out.
    if infos[scales].shape not in (grid, *(((), (1,)) if grid == (1, 1) else ())):
        raise checks.bad_shape(infos, scales, f"{grid[0]} by {grid[1]} blocks of {rows} by {columns} were expected")
    kept = infos[scales].mlx_dtype
    return Measured(out_features, in_features, FLOATS[scheme.dtype] if scheme.dtype else kept, scales=kept)


def decode(scheme: Scheme, tensors: Tensors) -> Scaled:
    found = measure(scheme, checks.headers(tensors))
    codes, scales = (checks.leaf(suffix) for suffix in _NAMES[scheme.layout][:2])
    checks.finite(tensors, scales)
    block = _block(scheme, found.out_features, found.in_features)
    grid = (found.out_features // block[0], found.in_features // block[1])
    return Scaled(
        codes=tensors[codes],
        values="e4m3",
        scales=tensors[scales].astype(mx.float32).reshape(grid),
        block=block,
        dtype=found.dtype,
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)


def _block(scheme: Scheme, out_features: int, in_features: int) -> tuple[int, int]:
    """Rows and columns that share a scale; torchao names none where one is for all."""
    if scheme.strategy == "channel":
        return 1, in_features
    return scheme.block or (out_features, in_features)
