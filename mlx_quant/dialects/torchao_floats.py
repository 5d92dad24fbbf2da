"""What the headers of torchao's files say of floats: ``Float8Tensor``, ``MXTensor`` and ``NVFP4Tensor``.

Sources: torchao 0.18.0, ``quantization/quantize_/workflows/float8/float8_tensor.py``; ``prototype/mx_formats``,
``mx_tensor.py``, ``nvfp4_tensor.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UnsupportedFormat
from . import fields
from .schemes import Scheme

_DIALECT = "torchao"
FLOAT8, MX, NVFP4 = "Float8Tensor", "MXTensor", "NVFP4Tensor"
DTYPES = ("float16", "bfloat16", "float32")
NOTE = "what it says of activations is not followed; it changes no weight"
EXPORT = (
    "export the model with Int8WeightOnlyConfig, IntxWeightOnlyConfig, Float8WeightOnlyConfig, NVFP4WeightOnlyConfig, "
    "or MX floats of E4M3 or E2M1, or use another export"
)

# What the elements of MXTensor may be: the widths that are decoded, and why others are not.
_ELEMENTS = {"float8_e4m3fn": 8, "float4_e2m1fn_x2": 4}
_E5M2, _SIXES = "float8_e5m2", ("fp6_e2m3", "fp6_e3m2")
_UNOPENED = "MLX 0.32 opens no file that holds them (RuntimeError: [safetensor] unsupported dtype F8_E5M2)"
_WITHOUT_MODE = "torchao keeps 6 bits in a byte each, and MLX has no mode for them"


def of_blocks(said: Mapping[str, Any], block: object, place: str) -> Scheme:
    """That of 8-bit floats; an empty list of sizes is one block."""
    size = fields.pair(f"{place}._data.block_size", block, "two positive numbers") if block else None
    if block is not None and not block and block != []:
        raise fields.bad(f"{place}._data.block_size", block, "two positive numbers")
    return Scheme(
        dialect=_DIALECT,
        packing="fp8_parts",
        bits=8,
        group_size=size[1] if size else -1,
        layout=FLOAT8,
        sym=True,
        block=size,
        dtype=dtype_of(said, "dtype", DTYPES, place),
        notes=(NOTE,) if said.get("act_quant_kwargs") is not None else (),
    )


def of_groups(kind: str, said: Mapping[str, Any], parts: list[str], place: str) -> Scheme:
    """That of floats whose scales are 8-bit floats themselves."""
    size, swizzled = said.get("block_size"), said.get("is_swizzled_scales", False if kind == NVFP4 else None)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise fields.bad(f"{place}._data.block_size", size, "a positive number")
    if not isinstance(swizzled, bool):
        raise fields.bad(f"{place}._data.is_swizzled_scales", swizzled, "true or false")
    dtype = dtype_of(said, "orig_dtype", DTYPES, place)
    if kind == MX and dtype == "float16":
        raise UnsupportedFormat(
            "unsupported-dtype",
            f"{kind} of float16, which torchao 0.18.0 does not pack, and in which most of its scales have no number",
            where=f"{place}._data.orig_dtype",
        )
    return Scheme(
        dialect=_DIALECT,
        packing="torchao_mx",
        bits=_width(said, place) if kind == MX else 4,
        group_size=size,
        layout=f"{kind}, swizzled" if swizzled else kind,
        sym=True,
        block=(1, size),
        strategy="tensor_group" if "per_tensor_scale" in parts else "",
        dtype=dtype,
        notes=(NOTE,) if said.get("act_quant_kwargs") is not None or "act_per_tensor_scale" in parts else (),
    )


def _width(said: Mapping[str, Any], place: str) -> int:
    """Bits of an element of MXTensor; torchao names 6-bit floats by plain texts, torch having no dtype of them."""
    value = said.get("elem_dtype")
    named = isinstance(value, str) and value in _SIXES
    name = str(value) if named else dtype_of(said, "elem_dtype", (*_ELEMENTS, _E5M2), place)
    if name in _ELEMENTS:
        return _ELEMENTS[name]
    why = _WITHOUT_MODE if named else _UNOPENED
    where = f"{place}._data.elem_dtype"
    raise UnsupportedFormat("unsupported-layout", f"elements of {name} are not decoded: {why}; {EXPORT}", where=where)


def dtype_of(said: Mapping[str, Any], key: str, known: tuple[str, ...], place: str) -> str:
    value = said.get(key)
    name = value.get("_data") if isinstance(value, Mapping) and value.get("_type") == "torch.dtype" else None
    if not isinstance(name, str) or name not in known:
        raise fields.bad(f"{place}._data.{key}", value, f"a torch.dtype, one of {', '.join(known)}")
    return name
