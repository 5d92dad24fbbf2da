"""quanto's: ``quanto_qmap.json``, which names the type of each packed module, and transformers' ``QuantoConfig``.

A map beside ``config.json`` is all that a model of optimum-quanto says of itself; here it is ``quantization_map``.
``QuantoConfig`` says one type of all modules, ``weights``. Sources: optimum-quanto 0.2.7, ``quantize.py``,
``quantization_map``; transformers 5.23.0, ``utils/quantization_config.py``, ``QuantoConfig``.
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

_WEIGHTS, _ACTIVATIONS = "weights", "activations"
_QINT8 = ("qint8", "int8")
_NARROW = ("qint2", "qint4", "int2", "int4")
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
    if weights in _NARROW:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"{weights} is not decoded: codes lie in rows of a group each, and no file says how many of them make an "
            f"output; {_EXPORT}",
            where=place,
        )
    if weights not in _QINT8:
        raise UnsupportedFormat("unsupported-layout", f"{fields.shown(weights)} is not decoded; {_EXPORT}", where=place)
    noted = activations not in (None, "none")
    return Scheme(
        dialect=ID,
        packing="quanto_int8",
        bits=8,
        group_size=-1,
        layout=_QINT8[0],
        sym=True,
        strategy="channel",
        notes=("what it says of activations is not followed; it changes no weight",) if noted else (),
    )
