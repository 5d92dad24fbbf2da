"""The reference as a conformance subject: choice of format, and whole checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from . import activation, autoround, checkpoint
from .checkpoint import Given
from .config import SPELLINGS, Config, setting
from .dialects import DEEPSEEK, METHOD, QUARK
from .formats import FORMATS, named, slugs
from .unpacked import Added, Refused, Unpacked

__all__ = ["FORMATS", "SUBJECT", "dequantize", "load", "opened", "pack", "unpack"]


def unpack(quantization_config: Config, tensors: Given) -> Unpacked | Added | activation.Divided:
    """Codes, zero points or offsets, scales and groups of one module. Refused where two spellings disagree."""
    for names in SPELLINGS:
        setting(quantization_config, names[0])
    own, divisors = activation.apart(quantization_config, tensors)
    found = named(quantization_config).unpack(quantization_config, own)
    return found if divisors is None else activation.divided(found, divisors)


def dequantize(quantization_config: Config, tensors: Given, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    """The dense weight [out, in] of one module."""
    return unpack(quantization_config, tensors).dense(dtype)


def pack(
    quantization_config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None
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
            "formats": sorted([*slugs(), autoround.NAME, METHOD, QUARK, DEEPSEEK]),
            "backend": "cpu",
        }

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)
    open = staticmethod(opened)


SUBJECT = _Subject()
