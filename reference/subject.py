"""The reference as a conformance subject: choice of format, and whole checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from . import awq, checkpoint, gptq
from .common import Refused, Unpacked

FORMATS = {"awq": awq, "gptq": gptq}


def _format(config: Mapping[str, Any]) -> ModuleType:
    name = str(config.get("quant_method") or config.get("method") or "").lower()
    if not name and ("zero_point" in config or "w_bit" in config):
        name = "awq"
    if not name and "desc_act" in config:
        name = "gptq"
    if name not in FORMATS:
        raise Refused(f"quant_method {name!r}")
    return FORMATS[name]


def unpack(quantization_config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module."""
    for spellings in (("bits", "w_bit", "wbits"), ("group_size", "q_group_size"), ("format", "checkpoint_format")):
        if len({str(quantization_config[key]) for key in spellings if key in quantization_config}) > 1:
            raise Refused(f"{' and '.join(spellings)} disagree")
    size = quantization_config.get("group_size", quantization_config.get("q_group_size", -1))
    if not isinstance(size, int) or size == 0 or size < -1:
        raise Refused(f"group size {size!r}")
    return _format(quantization_config).unpack(quantization_config, tensors)


def dequantize(
    quantization_config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], *, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """The dense weight [out, in] of one module."""
    return unpack(quantization_config, tensors).dense(dtype)


def pack(
    quantization_config: Mapping[str, Any], q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """The packed tensors of one module, as its producer would store them."""
    return _format(quantization_config).pack(q, z, s, g)


def load(checkpoint_dir: str | Path) -> dict[str, torch.Tensor]:
    """Every weight of a checkpoint by its Hugging Face name, packed modules decoded to ``<module>.weight``."""
    return checkpoint.load(checkpoint_dir, dequantize)


def opened(checkpoint_dir: str | Path) -> checkpoint.Opened:
    """The packed modules of a checkpoint, each decoded to ``<module>.weight`` when it is asked for."""
    return checkpoint.Opened(checkpoint_dir, dequantize)


class _Subject:
    name = "reference"
    framework = "torch"
    refusals = (Refused,)

    def info(self) -> dict[str, Any]:
        return {"version": torch.__version__, "formats": sorted(FORMATS), "backend": "cpu"}

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)
    open = staticmethod(opened)


SUBJECT = _Subject()
