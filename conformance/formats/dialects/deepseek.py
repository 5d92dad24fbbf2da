"""DeepSeek V4's configs: FP8 in blocks with scales of E8M0, and ``expert_dtype`` where experts are FP4.

V4 has ``expert_dtype`` beside the quantisation config, V4.1 in it; transformers moves it in. Codes of FP4 lie under the
dtype int8, and scales under the name ``scale``. Source: transformers 5.23.0, ``configuration_deepseek_v4.py`` and
``integrations/finegrained_fp8.py``, ``Fp8Dequantize``.
"""

from __future__ import annotations

from typing import Any

from ..parts import Config

NAME, METHOD, FOURS = "deepseek", "fp8", "fp4"
KEY = "expert_dtype"
_EXPERTS = "experts"


def config(block: tuple[int, int] = (128, 128), **changes: Any) -> dict[str, Any]:
    return {
        "quant_method": METHOD,
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "scale_fmt": "ue8m0",
        "weight_block_size": list(block),
    } | changes


def reads(config: Config) -> bool:
    """Whether some modules are FP4. transformers writes ``expert_dtype`` into every config of FP8."""
    return config.get("quant_method") == METHOD and config.get(KEY) == FOURS


def config_of(config: Config, module: str) -> dict[str, Any]:
    """``expert_dtype`` is of routed experts alone."""
    expert = _EXPERTS in module.split(".")
    return {key: value for key, value in config.items() if key != KEY or expert}
