"""The reference as a conformance subject: choice of format, and whole checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from . import checkpoint
from .formats import FORMATS, named
from .unpacked import Refused, Unpacked, first


def unpack(quantization_config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module."""
    for spellings in (("bits", "w_bit", "wbits"), ("group_size", "q_group_size"), ("format", "checkpoint_format")):
        if len({str(quantization_config[key]) for key in spellings if quantization_config.get(key) is not None}) > 1:
            raise Refused(f"{' and '.join(spellings)} disagree")
    size = first(quantization_config, "group_size", "q_group_size", default=-1)
    if not isinstance(size, int) or size == 0 or size < -1:
        raise Refused(f"group size {size!r}")
    return named(quantization_config).unpack(quantization_config, tensors)


def dequantize(
    quantization_config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], *, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """The dense weight [out, in] of one module."""
    return unpack(quantization_config, tensors).dense(dtype)


def pack(
    quantization_config: Mapping[str, Any], q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """The packed tensors of one module, as its producer would store them."""
    return named(quantization_config).pack(quantization_config, q, z, s, g)


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
        return {
            "version": torch.__version__,
            "formats": sorted(format.SLUG for format in FORMATS.values()),
            "backend": "cpu",
        }

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)
    open = staticmethod(opened)


SUBJECT = _Subject()
