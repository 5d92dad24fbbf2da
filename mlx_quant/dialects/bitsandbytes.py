"""bitsandbytes' configurations, as transformers writes them: 4 bits, or LLM.int8.

What describes a module lies in its tensors. Of the configuration only the width counts, under the names that it has
had; ``llm_int8_skip_modules`` is not followed, because which modules are packed is seen from their tensors. Files of
2023 name no method. Source: transformers 5.23.0, ``utils/quantization_config.py``, ``BitsAndBytesConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes, Uniform

ID = "bitsandbytes"

# Keys that nobody else writes.
_KEYS = ("load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit")
_TYPES = ("nf4", "fp4")


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID or (named is None and any(config.get(key) is not None for key in _KEYS))


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"load_in_4bit": _said(config, 4), "load_in_8bit": _said(config, 8)}


def schemes(config: Mapping[str, Any]) -> Schemes:
    four, eight = (bool(_said(config, bits)) for bits in (4, 8))
    if four == eight:
        both = "both" if four else "neither"
        raise MalformedCheckpoint(
            "bad-config-value",
            f"{both} of load_in_4bit and load_in_8bit; expected one of them to be true",
            where="load_in_4bit",
        )
    if eight:
        return Uniform(Scheme(dialect=ID, packing="bnb_int8", bits=8, group_size=-1, layout="int8"))
    kind = fields.folded(config.get("bnb_4bit_quant_type") or "fp4")
    if kind not in _TYPES:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"is {fields.shown(kind)}, expected {' or '.join(_TYPES)}",
            where="bnb_4bit_quant_type",
        )
    return Uniform(Scheme(dialect=ID, packing="bnb_4bit", bits=4, group_size=-1, layout=kind))


def _said(config: Mapping[str, Any], bits: int) -> bool | None:
    """What both spellings of a width say; ``config-contradiction`` if they disagree."""
    names = (f"load_in_{bits}bit", f"_load_in_{bits}bit")
    found = {value for name in names if (value := fields.boolean(config, name)) is not None}
    if len(found) > 1:
        raise MalformedCheckpoint("config-contradiction", f"{' and '.join(names)} disagree", where=names[0])
    return next(iter(found), None)
