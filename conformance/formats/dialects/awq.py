"""AutoAWQ's configs, in which a label chooses one of several packings; every module has the same."""

from __future__ import annotations

from typing import Any

from .. import flags as shared
from ..parts import Config
from ..spelt import written
from . import autoround

GEMM, GEMV, GEMV_FAST, LLM_AWQ, MARLIN = "gemm", "gemv", "gemv-fast", "llm-awq", "marlin"
LABELS = ("version", "format", "checkpoint_format")
# Group sizes that the padded packings know; whatever is longer pads as 128 does.
PADDING = {32: 4, 64: 2}
OPTIONAL: tuple[str, ...] = (
    "backend",
    "bits",
    "checkpoint_format",
    "format",
    "group_size",
    "meta",
    "method",
    "modules_to_not_convert",
    "q_group_size",
    "quantizer",
    "sym",
    "version",
    "w_bit",
    "wbits",
    "zero_point",
)


def reads(config: Config) -> bool:
    """Whether a config is AutoAWQ's: ``quant_config.json`` of its early releases and of llm-awq carries no method."""
    found = written(config)
    method = found.get("quant_method") or found.get("method")
    return not autoround.reads(config) and (
        str(method).lower() == "awq" or (method is None and "w_bit" in found and "config_groups" not in found)
    )


def label(config: Config) -> str:
    """Which packing a config names; llm-awq by its backend, whatever the version is."""
    found = written(config)
    if _folded(found.get("backend")) == LLM_AWQ:
        return LLM_AWQ
    named = _folded(next((found[key] for key in LABELS if key in found), GEMM))
    return GEMV_FAST if named == "gemvfast" else named


def plain(version: str, bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config``."""
    return {"quant_method": "awq", "bits": bits, "group_size": group_size, "version": version, "zero_point": True}


def width(config: Config) -> Any:
    return shared.width(config)


def group_size(config: Config, in_features: int) -> int:
    found = written(config)
    size: Any = found.get("group_size", found.get("q_group_size", 128))
    return in_features if size == -1 else int(size)


def padded(groups: int, size: int) -> int:
    """Groups that there is room for: words of eight, so many of them that a thread block finds them in one read."""
    at_once = PADDING.get(size, 1)
    return 8 * at_once * -(-groups // (8 * at_once))


def _folded(value: object) -> str:
    return str(value).lower().replace("_", "-")
