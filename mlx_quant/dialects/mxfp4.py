"""``quant_method`` ``mxfp4``: experts in MXFP4, as OpenAI publishes gpt-oss and transformers saves it.

``modules_to_not_convert`` is not followed: which modules are packed is seen from their tensors. ``dequantize`` says how
transformers should load them. Source: transformers 5.23.0, ``utils/quantization_config.py``, ``Mxfp4Config``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .schemes import Scheme, Schemes, Uniform

ID = "mxfp4"

_GROUP = 32


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def schemes(config: Mapping[str, Any]) -> Schemes:
    return Uniform(Scheme(dialect=ID, packing=ID, bits=4, group_size=_GROUP, layout="blocks", block=(1, _GROUP)))
