"""The configs of bitsandbytes, as transformers writes them; its packings of 4 and of 8 bits share them."""

from __future__ import annotations

from typing import Any

from ..parts import Config

KEYS = ("load_in_4bit", "load_in_8bit")


def config(kind: str, **changes: Any) -> dict[str, Any]:
    """Of weights of type ``nf4``, ``fp4`` or ``int8``."""
    return {
        "quant_method": "bitsandbytes",
        "load_in_4bit": kind != "int8",
        "load_in_8bit": kind == "int8",
        "bnb_4bit_quant_type": "fp4" if kind == "int8" else kind,
        "llm_int8_skip_modules": None,
    } | changes


def bits_of(config: Config) -> int | None:
    """4 or 8; None of another method's, and where the config says both or neither."""
    said = {key: config.get(key) or config.get(f"_{key}") for key in KEYS}
    method = config.get("quant_method") or config.get("method")
    if str(method or "bitsandbytes").lower() != "bitsandbytes" or bool(said[KEYS[0]]) == bool(said[KEYS[1]]):
        return None
    return 4 if said[KEYS[0]] else 8
