"""ModelOpt's mixed precision: an algorithm for each layer by its name. Its other configs say one thing of all modules.

Source: nvidia-modelopt 0.47.0, ``torch/export/quant_utils.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..parts import Config

METHOD = "modelopt"


def mixed(layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"quant_method": METHOD, "quant_algo": "MIXED_PRECISION", "quantized_layers": dict(layers)}


def layer_of(config: Config, module: str) -> dict[str, Any] | None:
    """The config of one module that ``quantized_layers`` names; None for any other."""
    layer = (config.get("quantized_layers") or {}).get(module)
    return None if layer is None else {"quant_method": METHOD} | dict(layer)
