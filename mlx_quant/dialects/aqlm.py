"""``quant_method`` ``aqlm``: how many codebooks there are, of how many entries, and which block of weights one is.

``linear_weights_not_to_quantize`` is not followed: which modules are packed is seen from their tensors. Sources:
transformers 5.23.0, ``utils/quantization_config.py``, ``AqlmConfig``, whose defaults these are; AQLM's own
``convert_to_hf.py``, ``update_config``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import fields
from .schemes import Scheme, Schemes, Uniform

ID = "aqlm"

_BITS, _BOOKS, _ROWS, _COLUMNS = "nbits_per_codebook", "num_codebooks", "out_group_size", "in_group_size"
_DEFAULTS = {_BITS: 16, _BOOKS: 1, _ROWS: 1, _COLUMNS: 8}


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {field: config.get(field) for field in _DEFAULTS}


def schemes(config: Mapping[str, Any]) -> Schemes:
    found = {field: _positive(config, field) for field in _DEFAULTS}
    block = found[_ROWS], found[_COLUMNS]
    return Uniform(
        Scheme(
            dialect=ID,
            packing=ID,
            bits=found[_BITS],
            group_size=found[_COLUMNS],
            layout="additive",
            block=block,
            codebooks=found[_BOOKS],
        )
    )


def _positive(config: Mapping[str, Any], field: str) -> int:
    """A null is no default: transformers raises TypeError for it."""
    if field in config and config[field] is None:
        raise fields.bad(field, None, "a positive number")
    value = fields.integer(config, field, _DEFAULTS[field])
    if value < 1:
        raise fields.bad(field, value, "a positive number")
    return value
