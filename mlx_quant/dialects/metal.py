"""``quant_method`` ``metal``: MLX's affine codes, as transformers packs them for Apple's GPUs.

``modules_to_not_convert`` is not followed: which modules are packed is seen from their tensors. ``dequantize`` says how
transformers should load them. Source: transformers 5.23.0, ``utils/quantization_config.py``, ``MetalConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import fields
from .schemes import Scheme, Schemes, Uniform

ID = "metal"

_BITS, _GROUP = 4, 64


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def schemes(config: Mapping[str, Any]) -> Schemes:
    bits, size = fields.integer(config, "bits", _BITS), fields.group_size(config, _GROUP)
    if size == -1:
        raise fields.bad("group_size", size, "a positive number")
    return Uniform(Scheme(dialect=ID, packing=ID, bits=bits, group_size=size, layout="affine"))
