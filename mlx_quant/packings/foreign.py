"""Tensors of packings that are not decoded. Beside packed modules they would be copied as if they were weights."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UnsupportedFormat
from ..files.folder import TensorInfo
from .protocol import Infos

# A packing's tell-tale suffixes: a module that has all of them is packed that way.
SUFFIXES: tuple[tuple[tuple[str, ...], str], ...] = (
    ((".absmax",), "bitsandbytes, of a parameter that is no layer's weight"),
    ((".weight_absmax",), "bitsandbytes under GPTQModel's names"),
    ((".weight_scb",), "bitsandbytes under GPTQModel's names"),
    ((".trellis",), "EXL3"),
    ((".Qidxs",), "QuIP#"),
    ((".forward_hadamard_matrix",), "FP-Quant"),
    ((".act.scales",), "AWQ with a scaled activation, which has no place in MLX's model"),
    ((".gelu_impl.scales",), "AWQ with a scaled activation of Bloom's"),
)

# Packings that are decoded have suffixes that begin alike.
_DECODED = (".weight.absmax",)
_EXPORT = "which is not decoded; use a plain GPTQ or AWQ (gemm) export"


def refuse(tensors: Mapping[str, TensorInfo]) -> None:
    """UnsupportedFormat ``unsupported-layout`` for the first tensor, by full name, of a packing in ``SUFFIXES``."""
    for suffixes, packing in SUFFIXES:
        first, *others = suffixes
        for name, info in tensors.items():
            module = name.removesuffix(first)
            if module != name and not name.endswith(_DECODED) and all(module + other in tensors for other in others):
                raise UnsupportedFormat(
                    "unsupported-layout", f"a tensor of {packing}, {_EXPORT}", where=f"{info.file}: {name}"
                )


def refuse_shapes(infos: Infos) -> None:
    """UnsupportedFormat ``unsupported-layout`` for known names of tensors with the shapes of another packing."""
    if not {"qweight", "scales"} <= infos.keys():
        return
    qweight, scales = infos["qweight"], infos["scales"]
    if kind := _by_dtype(qweight.dtype):
        raise UnsupportedFormat(
            "unsupported-layout", f"dtype {qweight.dtype} is that of {kind}; expected int32 words", where="qweight"
        )
    if len(qweight.shape) != 2 or len(scales.shape) != 2:
        return
    if qweight.shape[0] == scales.shape[0]:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"shape {list(qweight.shape)} with scales {list(scales.shape)} is that of AWQ gemv, {_EXPORT}",
            where="qweight",
        )


def _by_dtype(dtype: str) -> str | None:
    if dtype in ("I8", "U8"):
        return "BitBLAS or 8-bit words"
    return "16- or 64-bit words" if dtype in ("I16", "U16", "I64") else None
