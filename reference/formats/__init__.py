"""The formats by the stems of their files; what is none of them is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..unpacked import Refused
from . import awq_gemm, gptq

FORMATS: dict[str, ModuleType] = {"awq_gemm": awq_gemm, "gptq": gptq}


def named(config: Mapping[str, Any]) -> ModuleType:
    """The format of a ``quantization_config``."""
    for format in FORMATS.values():
        if format.names(config):
            return format
    raise Refused(f"quant_method {config.get('quant_method')!r}")
