"""AutoAWQ's and llm-awq's configurations.

``modules_to_not_convert`` is not followed: which modules are packed is seen from their tensors, and all are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes, Uniform

ID = "awq"

# By the label of version.
_PACKINGS = {
    "gemm": "awq_gemm",
    "gemv": "awq_gemv",
    "gemv_fast": "awq_gemv_fast",
    "llm-awq": "awq_gemv_fast",
    "marlin": "gptq_marlin",
}
# AutoAWQ's class is called GEMVFast.
_SPELT = {"gemvfast": "gemv_fast", "gemv-fast": "gemv_fast"}
_ADVICE = {
    "exllama": "use a gemm export of the same model",
}


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    if named is None:  # quant_config.json of early AutoAWQ and llm-awq carries no method
        return any(config.get(key) is not None for key in ("w_bit", "q_group_size", "zero_point"))
    return named == ID or fields.folded(config.get("backend")) == "llm-awq"


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"sym": _symmetric(config)}
    if any(config.get(key) for key in ("backend", "version", "format", "checkpoint_format")):
        found["version"] = _layout(config)
    return found


def schemes(config: Mapping[str, Any]) -> Schemes:
    layout = _layout(config)
    if layout not in _PACKINGS:
        raise fields.undecoded_layout(ID, "version", layout, _PACKINGS, _ADVICE)
    _refuse_other_codes(config)
    bits = fields.integer(config, "bits", default=4)
    return Uniform(
        Scheme(
            dialect=ID,
            packing=_PACKINGS[layout],
            bits=bits,
            group_size=fields.group_size(config, default=128),
            layout=_variant(layout, bits),
            sym=_symmetric(config),
            producer=fields.producer(config),
        )
    )


def _refuse_other_codes(config: Mapping[str, Any]) -> None:
    """Under this method AMD Quark, which alone says ``pack_method``, stores symmetric codes in two's complement."""
    method = config.get("pack_method")
    if method is not None and (method != "reorder" or _symmetric(config)):
        raise UnsupportedFormat(
            "unsupported-layout",
            "AMD Quark's codes with a sign, or in another order of nibbles; export them with custom_mode quark",
            where="pack_method",
        )


def _variant(label: str, bits: int) -> str:
    """What a packing calls a label, where that is not enough to tell its layout."""
    if label == "gemm" and bits != 4:
        return "gemm_natural"  # AutoAWQ has 4 bits only; the others are GPTQModel's, which does not interleave them
    return "awq_marlin" if label == "marlin" else label


def _symmetric(config: Mapping[str, Any]) -> bool | None:
    zero_point = fields.boolean(config, "zero_point")
    return fields.boolean(config, "sym") if zero_point is None else not zero_point


def _layout(config: Mapping[str, Any]) -> str:
    if fields.folded(config.get("backend")) == "llm-awq":
        return "llm-awq"
    labels = (config[key] for key in ("version", "format", "checkpoint_format") if config.get(key) is not None)
    label = str(next(labels, "gemm")).lower()
    return _SPELT.get(label, label)
