"""Reads a ``quantization_config``: every spelling the producers have used, into one :class:`Scheme`.

Field names and their synonyms are those of AutoGPTQ 0.7, AutoAWQ 0.2, llm-awq, AutoRound and GPTQModel 7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import MalformedCheckpoint, UnsupportedFormat

_SYNONYMS = {
    "bits": ("bits", "w_bit", "wbits"),
    "group_size": ("group_size", "q_group_size", "groupsize"),
    "method": ("quant_method", "method"),
    "desc_act": ("desc_act",),
    "static_groups": ("static_groups",),
    "sym": ("sym",),
    "zero_point": ("zero_point",),
}
_LAYOUT_KEYS = {
    "awq": ("backend", "version", "format", "checkpoint_format"),
    "gptq": ("is_marlin_format", "format", "checkpoint_format"),
}
_WRITTEN_AS_V1_BY_SUBTRACTION = (0, 9)


@dataclass(frozen=True)
class Scheme:
    """What a checkpoint says of its packed modules.

    Attributes:
        method: format id, the stem of a module in ``mlx_quant.formats`` (``"gptq"`` or ``"awq"``).
        bits: width of a code.
        group_size: input channels a group; -1 for one group a matrix.
        layout: variant of the method: ``"gptq"`` or ``"gptq_v2"`` (zero points stored minus one, or as they are),
            ``"gemm"`` for AWQ; anything else is named in a refusal.
        sym: True or False when the file says so, else None.
        desc_act: as written; where there is a ``g_idx``, the decoder goes by that instead.
        static_groups: as written; with it, act-order leaves groups where they are.
        producer: (name, version) from ``meta.quantizer`` or ``quantizer``, or None.
    """

    method: str
    bits: int
    group_size: int
    layout: str
    sym: bool | None = None
    desc_act: bool | None = None
    static_groups: bool | None = None
    producer: tuple[str, tuple[int, ...]] | None = None

    @property
    def zeros_packed_with_borrow(self) -> bool:
        """Whether stored zero points were made by one subtraction over the whole packed word.

        GPTQModel from 0.9 on turns zero points into AutoGPTQ's form that way, so an asymmetric zero of 0 borrows from
        its neighbours, and only an addition over the whole word gives them back.
        """
        if self.producer is None or self.sym is not False:
            return False
        name, version = self.producer
        return name == "gptqmodel" and version >= _WRITTEN_AS_V1_BY_SUBTRACTION


def parse(config: Mapping[str, Any]) -> Scheme:
    """Read a ``quantization_config`` mapping.

    Raises:
        UnsupportedFormat: ``not-quantized``.
        MalformedCheckpoint: ``bad-config-value``, ``config-contradiction`` (two spellings that disagree).
    """
    method = method_of(config)
    bits = _integer(config, "bits", default=4 if method == "awq" else None)
    group_size = _integer(config, "group_size", default=128 if method == "awq" else -1)
    if group_size == 0 or group_size < -1:
        raise _bad("group_size", group_size, "-1 or a positive number")
    sym = _boolean(config, "sym")
    if method == "awq":
        zero_point = _boolean(config, "zero_point")
        sym = sym if zero_point is None else not zero_point
    return Scheme(
        method=method,
        bits=bits,
        group_size=group_size,
        layout=_layout(config, method),
        sym=sym,
        desc_act=_boolean(config, "desc_act"),
        static_groups=_boolean(config, "static_groups"),
        producer=_producer(config),
    )


def method_of(config: Mapping[str, Any]) -> str:
    """The format id that ``config`` names or implies, lower case, with dashes; errors as :func:`parse`."""
    if not isinstance(config, Mapping):
        raise _bad("quantization_config", config, "a mapping")
    value = _one(config, "method", fold=lambda v: str(v).lower().replace("_", "-"))
    if value is None and ("w_bit" in config or "q_group_size" in config or "zero_point" in config):
        return "awq"  # quant_config.json of early AutoAWQ and llm-awq carries no method
    if value is None and "desc_act" in config:
        return "gptq"  # quantize_config.json of AutoGPTQ before it wrote quant_method
    if value is None:
        raise UnsupportedFormat("not-quantized", "no quant_method and none of the keys that imply one")
    if config.get("backend") == "llm-awq":
        return "awq"
    return str(value)


def stated(config: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The decisive fields that ``config`` spells out, each under one name, in a form that compares across producers.

    Defaults are left out, so two files agree when they say the same wherever both say something.
    """
    found: dict[str, Any] = {}
    if any(key in config for key in _SYNONYMS["method"]):
        found["quant_method"] = method_of(config)
    for field in ("bits", "group_size", "desc_act", "sym"):
        found[field] = _one(config, field)
    if method == "awq" and (zero_point := _boolean(config, "zero_point")) is not None:
        found["sym"] = not zero_point
    if any(config.get(key) for key in _LAYOUT_KEYS.get(method, ())):
        found["checkpoint_format"] = _layout(config, method)
    found["dynamic"] = config.get("dynamic")
    return {field: value for field, value in found.items() if value is not None}


def overridden(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with ``overrides`` on top: a field overridden under one spelling loses its other spellings."""
    hidden = {name for names in _SYNONYMS.values() if any(name in overrides for name in names) for name in names}
    return {key: value for key, value in config.items() if key not in hidden} | dict(overrides)


def _layout(config: Mapping[str, Any], method: str) -> str:
    if method == "awq":
        backend = config.get("backend")
        if backend in ("llm-awq", "llm_awq"):
            return "llm-awq"
        value = config.get("version", config.get("format", config.get("checkpoint_format", "gemm")))
        return str(value).lower()
    if config.get("is_marlin_format"):
        return "marlin"
    # GPTQModel reads `format` and falls back to the older `checkpoint_format`; AutoGPTQ wrote neither for years.
    spelled = {str(config[key]).lower() for key in ("format", "checkpoint_format") if config.get(key)}
    if len(spelled) > 1:
        raise MalformedCheckpoint(
            "config-contradiction", f"format and checkpoint_format disagree: {sorted(spelled)}", where="format"
        )
    return spelled.pop() if spelled else "gptq"


def _producer(config: Mapping[str, Any]) -> tuple[str, tuple[int, ...]] | None:
    meta = config.get("meta")
    value = meta.get("quantizer") if isinstance(meta, Mapping) else None
    value = value if value is not None else config.get("quantizer")
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    if not isinstance(value, str) or not value:
        return None
    name, _, version = value.partition(":")
    return name.strip().lower(), tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _one(config: Mapping[str, Any], field: str, fold: Any = lambda value: value) -> Any:
    found = {key: fold(config[key]) for key in _SYNONYMS[field] if config.get(key) is not None}
    if len({repr(value) for value in found.values()}) > 1:
        raise MalformedCheckpoint("config-contradiction", f"spellings of {field} disagree: {found}", where=field)
    return next(iter(found.values()), None)


def _integer(config: Mapping[str, Any], field: str, default: int | None) -> int:
    value = _one(config, field)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int):
        raise _bad(field, value, "an integer")
    return value


def _boolean(config: Mapping[str, Any], field: str) -> bool | None:
    value = _one(config, field)
    if value is not None and not isinstance(value, bool):
        raise _bad(field, value, "true or false")
    return value


def _bad(field: str, value: object, expected: str) -> MalformedCheckpoint:
    return MalformedCheckpoint("bad-config-value", f"{field} is {value!r}, expected {expected}", where=field)
