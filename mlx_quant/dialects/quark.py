"""AMD Quark's configurations: a type for all modules, and others for some by their names.

Quark takes the first pattern of ``layer_quant_config`` that fits a name as a shell's would, then ``Linear`` of
``layer_type_quant_config``, then ``global_quant_config``. ``exclude`` is not followed: which modules are packed is seen
from their tensors. What quantises activations and caches does not touch the weight; it is noted.
Source: amd-quark 0.13, ``torch/export/main_export/quant_config_parser.py`` and ``torch/quantization/config/config.py``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import QuantError, UnsupportedFormat
from . import fields
from .patterns import Pattern, Patterns
from .schemes import Scheme, Schemes

ID = "quark"

_INTEGERS = {"int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "int8": 8, "uint8": 8}
_STRATEGIES = {"per_tensor": "tensor", "per_channel": "channel", "per_group": "group"}
_PACK_METHODS = ("reorder", "order")
_DECODED = (*_INTEGERS, "fp8_e4m3", "fp4")
_OUTPUTS = (0, -2)
_INPUTS = (1, -1)
_MXFP4 = (32, "e8m0")


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID if named is not None else "global_quant_config" in config


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config.get(key) for key in ("global_quant_config", "layer_quant_config")}


def schemes(config: Mapping[str, Any]) -> Schemes:
    return _Layers(config)


@dataclass(frozen=True)
class _Rule:
    """What is said of some modules: the key it stands under, the pattern of their names, and the type of weights."""

    place: str
    pattern: Pattern | None
    weight: Any


class _Layers:
    """The schemes of one checkpoint. Where a rule quantises no weight, but a module that it names is packed, the next
    one that does decides."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._rules = list(_rules(config))
        self._read: dict[str, Scheme] = {}
        first = next((rule for rule in reversed(self._rules) if rule.weight is not None), None)
        if first is None:
            raise UnsupportedFormat(
                "not-quantized",
                "no part of the configuration quantises weights; load it with mlx_lm",
                where="global_quant_config",
            )
        self.default = self._scheme(first)

    def scheme(self, module: str) -> Scheme:
        rule = self._rule(module)
        return self.default if rule is None else self._scheme(rule)

    def place(self, module: str) -> str | None:
        rule = self._rule(module)
        return None if rule is None or rule.pattern is None else rule.place

    def _rule(self, module: str) -> _Rule | None:
        fit = (rule for rule in self._rules if rule.pattern is None or rule.pattern.match(module))
        return next((rule for rule in fit if rule.weight is not None), None)

    def _scheme(self, rule: _Rule) -> Scheme:
        if rule.place not in self._read:
            try:
                self._read[rule.place] = _scheme(self._config, rule)
            except QuantError as error:
                raise type(error)(error.code, error.message, where=rule.place) from None
        return self._read[rule.place]


def _rules(config: Mapping[str, Any]) -> Iterator[_Rule]:
    """In the order in which they are asked."""
    patterns = Patterns()
    for name, layer in _layers(config, "layer_quant_config").items():
        place = f"layer_quant_config: {name}"
        yield _Rule(place, patterns.compiled(_regular(str(name)), place), layer.get("weight"))
    by_type = _layers(config, "layer_type_quant_config")
    linear = {str(name).rpartition(".")[2].strip("'>"): layer for name, layer in by_type.items()}.get("Linear")
    if linear is not None:
        yield _Rule("layer_type_quant_config: Linear", None, linear.get("weight"))
    whole = config.get("global_quant_config")
    if whole is not None:
        if not isinstance(whole, Mapping):
            raise fields.bad("global_quant_config", whole, "an object")
        yield _Rule("global_quant_config", None, whole.get("weight"))


def _layers(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = config.get(key) or {}
    if not isinstance(found, Mapping) or not all(isinstance(layer, Mapping) for layer in found.values()):
        raise fields.bad(key, found, "an object of objects")
    return found


def _regular(pattern: str) -> str:
    """A shell's pattern as a regular expression; the newest Python has another word for the end of a text."""
    return fnmatch.translate(pattern).replace(r"\z", r"\Z")


def _scheme(config: Mapping[str, Any], rule: _Rule) -> Scheme:
    weight = _one_stage(rule)
    kind = str(weight.get("dtype")).lower()
    notes = tuple(_notes(config))
    if kind not in _DECODED:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"weights of type {kind!r} are not decoded; supported: {', '.join(_DECODED)}. {_ADVICE.get(kind, _OTHER)}",
            where=rule.place,
        )
    if kind in _INTEGERS:
        return _integer(config, weight, kind, notes)
    return _eights(weight, notes) if kind == "fp8_e4m3" else _fours(weight, notes)


_OTHER = "Use an export of one of them"
_ADVICE = {
    "int3": "Quark's reader gives other numbers than its packer was given; use an export of one of them",
}


def _one_stage(rule: _Rule) -> Mapping[str, Any]:
    """The type of the weights, which may be written as a list of stages."""
    stages = rule.weight if isinstance(rule.weight, (list, tuple)) else [rule.weight]
    if not stages or not all(isinstance(stage, Mapping) for stage in stages):
        raise fields.bad("weight", rule.weight, "an object, or a list of objects")
    if len(stages) > 1:
        kinds = ", then ".join(fields.shown(stage.get("dtype")) for stage in stages)
        raise UnsupportedFormat(
            "unsupported-layout",
            f"weights are quantised in {len(stages)} stages ({kinds}), and one is decoded; use an export of one",
            where=rule.place,
        )
    return stages[0]


def _strategy(weight: Mapping[str, Any]) -> str:
    scheme, axis = str(weight.get("qscheme")).lower(), weight.get("ch_axis")
    if scheme not in _STRATEGIES:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"is {scheme!r}, and these are decoded: {', '.join(_STRATEGIES)}",
            where="qscheme",
        )
    if axis is not None and not _axis(axis, {"per_channel": _OUTPUTS, "per_group": _INPUTS}.get(scheme)):
        raise UnsupportedFormat(
            "unsupported-layout", f"is {fields.shown(axis)}, which scales of {scheme} do not go along", where="ch_axis"
        )
    return _STRATEGIES[scheme]


def _axis(axis: object, due: tuple[int, ...] | None) -> bool:
    return due is None or (not isinstance(axis, bool) and axis in due)


def _integer(config: Mapping[str, Any], weight: Mapping[str, Any], kind: str, notes: tuple[str, ...]) -> Scheme:
    strategy = _strategy(weight)
    if str(weight.get("zero_point_type") or "int32") != "int32":
        raise UnsupportedFormat(
            "unsupported-layout",
            f"is {fields.shown(weight['zero_point_type'])}; only whole zero points are decoded",
            where="zero_point_type",
        )
    export = config.get("export") or {}
    if not isinstance(export, Mapping):
        raise fields.bad("export", export, "an object")
    order = str(export.get("pack_method") or "reorder").lower()
    if order not in _PACK_METHODS:
        raise UnsupportedFormat(
            "unsupported-layout", f"is {order!r}, expected {' or '.join(_PACK_METHODS)}", where="pack_method"
        )
    if kind == "uint2" and strategy == "tensor":
        raise UnsupportedFormat(
            "unsupported-layout",
            "is 'per_tensor', which Quark has for no uint2: its packer takes no zero point without axes",
            where="qscheme",
        )
    if strategy == "group" and weight.get("group_size") is None:
        raise fields.bad("group_size", None, "a positive number, as per_group needs")
    return Scheme(
        dialect=ID,
        packing="quark_int",
        bits=_INTEGERS[kind],
        group_size=fields.group_size({"group_size": weight["group_size"]}, default=-1) if strategy == "group" else -1,
        layout=f"{kind.rstrip('248')}-{order}",
        sym=fields.boolean(weight, "symmetric"),
        strategy=strategy,
        notes=notes,
    )


def _eights(weight: Mapping[str, Any], notes: tuple[str, ...]) -> Scheme:
    block = None
    if str(weight.get("qscheme")).lower() == "per_block":
        block = fields.pair("block_size", weight.get("block_size"), "two positive numbers, as per_block needs")
    elif _strategy(weight) == "group":
        raise UnsupportedFormat(
            "unsupported-layout", "FP8 in groups is not decoded; Quark's own reader has none of it", where="qscheme"
        )
    return Scheme(dialect=ID, packing="fp8", bits=8, group_size=-1, layout=ID, block=block, notes=notes)


def _fours(weight: Mapping[str, Any], notes: tuple[str, ...]) -> Scheme:
    found = weight.get("group_size"), str(weight.get("scale_format")).lower()
    if _strategy(weight) != "group" or found != _MXFP4:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"FP4 in groups of {fields.shown(found[0])} with scales of format {found[1]}; only MXFP4 is decoded, "
            "which has groups of 32 and e8m0",
            where="scale_format",
        )
    return Scheme(dialect=ID, packing="mxfp4", bits=4, group_size=32, layout=ID, block=(1, 32), notes=notes)


def _notes(config: Mapping[str, Any]) -> Iterator[str]:
    layers = [config.get("global_quant_config") or {}, *_layers(config, "layer_quant_config").values()]
    if any(layer.get("input_tensors") or layer.get("output_tensors") for layer in layers):
        yield "the configuration quantises activations as well; they are left as they are, only weights are decoded"
    if config.get("kv_cache_quant_config"):
        yield "the configuration quantises the cache of keys and values; it is left as it is"
