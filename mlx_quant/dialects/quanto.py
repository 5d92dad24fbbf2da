"""quanto's: ``quanto_qmap.json``, which names the type of each packed module, and transformers' ``QuantoConfig``.

A map beside ``config.json`` is all that a model of optimum-quanto says of itself; here it is ``quantization_map``.
``QuantoConfig`` says one type of all modules, ``weights``. Neither says how many inputs a module has, which its tensors
do not tell where codes have 2 or 4 bits: of one module alone it is said as ``in_features``, in a checkpoint the model
knows. Sources: optimum-quanto 0.2.7, ``quantize.py``, ``quantization_map``; transformers 5.23.0,
``utils/quantization_config.py``, ``QuantoConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes

ID = "quanto"
MAP = "quantization_map"

_WEIGHTS, _ACTIVATIONS, _INPUTS = "weights", "activations", "in_features"
_QINT8 = ("qint8", "int8")
_FLOATS = ("qfloat8_e4m3fn", "qfloat8", "float8")
_UNREAD = ("qfloat8_e5m2", "qfloat8_e4m3fnuz")
_NARROW = {"qint2": 2, "int2": 2, "qint4": 4, "int4": 4}
# Weights a group where they divide the inputs of a layer; tensors say what a module has.
_GROUP = 128
_EXPORT = "quantise the model to qint8, or use another export"


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def unfolded(content: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of what ``quanto_qmap.json`` holds."""
    return {"quant_method": ID, MAP: dict(content)}


def schemes(config: Mapping[str, Any]) -> Schemes:
    entries = config.get(MAP)
    if entries is None:
        return Mapped(None, _scheme(config, _WEIGHTS))
    if not isinstance(entries, Mapping) or not entries:
        raise fields.bad(MAP, entries, "the types of modules by their names")
    first = next(iter(entries))
    return Mapped(entries, _scheme(entries[first], f"{MAP}.{first}"))


@dataclass(frozen=True)
class Mapped:
    """Schemes by the names of modules; without a map, one for all."""

    entries: Mapping[str, Any] | None
    default: Scheme

    def scheme(self, module: str) -> Scheme:
        return self.default if self.entries is None else _scheme(self.entries.get(module), f"{MAP}.{module}")

    def place(self, module: str) -> str | None:
        return None if self.entries is None else f"{MAP}.{module}"


def _scheme(said: object, place: str) -> Scheme:
    if not isinstance(said, Mapping):
        raise fields.bad(place, said, "an object with the type of its weights")
    weights, activations = said.get(_WEIGHTS), said.get(_ACTIVATIONS)
    if not isinstance(weights, str):
        raise fields.bad(place, weights, "the name of a type, such as qint8")
    if weights in _UNREAD:
        text = (
            f"{weights} is not decoded: MLX opens no file of such numbers ([safetensor] unsupported dtype); {_EXPORT}"
        )
        raise UnsupportedFormat("unsupported-layout", text, where=place)
    if weights not in (*_QINT8, *_NARROW, *_FLOATS):
        raise UnsupportedFormat("unsupported-layout", f"{fields.shown(weights)} is not decoded; {_EXPORT}", where=place)
    noted = activations not in (None, "none")
    notes = ("what it says of activations is not followed; it changes no weight",) if noted else ()
    if bits := _NARROW.get(weights):
        return Scheme(
            dialect=ID,
            packing="quanto_int4",
            bits=bits,
            group_size=_GROUP,
            layout=f"qint{bits}",
            sym=False,
            strategy="group",
            shape=(None, _inputs(said, place)),
            notes=notes,
        )
    return Scheme(
        dialect=ID,
        packing="fp8_parts" if weights in _FLOATS else "quanto_int8",
        bits=8,
        group_size=-1,
        layout=_FLOATS[0] if weights in _FLOATS else _QINT8[0],
        sym=True,
        strategy="channel",
        notes=notes,
    )


def _inputs(said: Mapping[str, Any], place: str) -> int | None:
    if said.get(_INPUTS) is None:
        return None
    inputs = fields.integer(said, _INPUTS, None)
    if inputs < 1:
        raise fields.bad(f"{place}.{_INPUTS}", inputs, "a positive number")
    return inputs
