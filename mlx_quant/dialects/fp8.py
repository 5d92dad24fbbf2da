"""``quant_method`` ``fp8``: FP8 weights as DeepSeek publishes them, and Qwen, MiniMax and transformers after it.

``fbgemm_fp8`` is transformers' other method of the same codes: FBGEMM packs them, with a scale for each output.

``modules_to_not_convert`` and its alias ``ignored_layers`` are not followed: which modules are packed is seen from
their tensors. So is which of them are MXFP4: DeepSeek V4 says ``expert_dtype`` ``fp4`` beside this configuration and
V4.1 in it, and readers go by the int8 of the codes.

Sources: transformers 5.23.0, ``utils/quantization_config.py``, ``FineGrainedFP8Config`` and ``FbgemmFp8Config``;
amd-quark 0.13, ``torch/export/main_export/quant_config_parser.py``, ``FP8Config``, which its ``custom_mode`` ``fp8``
writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes, Uniform

ID = "fp8"

# As its method is folded, and as its layout is called.
_FBGEMM, _BY_OUTPUT = "fbgemm-fp8", "fbgemm"

_BLOCK = (128, 128)
# How scales are stored, by what scale_fmt says; the tensors decide, so this only refuses what nobody has written.
_SCALES = ("float", "ue8m0")
_EXPERTS = ("fp8", "fp4")
# Of modules whose codes are two a byte of int8.
_FOURS = Scheme(dialect=ID, packing="mxfp4", bits=4, group_size=32, layout="deepseek", block=(1, 32))


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named in (ID, _FBGEMM)


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    if fields.method(config) == _FBGEMM:
        return {"quant_method": _FBGEMM}
    block = config.get("weight_block_size")
    return {"weight_block_size": None if block is None else list(_block(config) or ()), "fmt": config.get("fmt")}


def schemes(config: Mapping[str, Any]) -> Schemes:
    if fields.method(config) == _FBGEMM:
        return Uniform(Scheme(dialect=ID, packing=ID, bits=8, group_size=-1, layout=_BY_OUTPUT))
    number = str(config.get("fmt") or "e4m3").lower()
    if number not in ("e4m3", "float8_e4m3fn"):
        raise UnsupportedFormat("unsupported-dtype", f"is {number!r}; only e4m3 is decoded", where="fmt")
    scales = str(config.get("scale_fmt") or "float").lower()
    if scales not in _SCALES:
        raise UnsupportedFormat(
            "unsupported-layout", f"is {scales!r}, expected one of {', '.join(_SCALES)}", where="scale_fmt"
        )
    experts = str(config.get("expert_dtype") or "fp8").lower()
    if experts not in _EXPERTS:
        raise UnsupportedFormat(
            "unsupported-layout", f"is {experts!r}, expected one of {', '.join(_EXPERTS)}", where="expert_dtype"
        )
    block = _block(config)
    return Uniform(Scheme(dialect=ID, packing=ID, bits=8, group_size=-1, layout="block", block=block, otherwise=_FOURS))


def _block(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns that share a scale, or None where null says that all do. An absent field is 128 by 128."""
    # Quark, which says how it exported, has one scale a matrix under this method, and no word for it.
    value = config.get("weight_block_size", None if "export" in config else _BLOCK)
    if value is None:
        return None
    return fields.pair("weight_block_size", value, "two positive numbers, or null")
