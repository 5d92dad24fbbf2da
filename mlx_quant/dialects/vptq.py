"""``quant_method`` ``vptq``: the sizes of codebooks, module by module, or by the last part of a module's name.

``config_for_layers`` has settings by the whole names of modules, ``shared_layer_config`` by their last parts; the first
one goes before. ``modules_to_not_convert`` is not followed: which modules are packed is seen from their tensors. In
each pair of numbers the first one is of outliers, inputs with a codebook of their own. Sources: vptq 0.0.5.post1,
``layers/vqlinear.py`` (``VQuantLinear``) and ``layers/model_base.py`` (``make_quant_linear``); transformers 5.23.0,
``utils/quantization_config.py``, ``VptqLayerConfig``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import QuantError, UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes

ID = "vptq"
LAYERS, SHARED = "config_for_layers", "shared_layer_config"
# Of ``Scheme.shapes``: weights of an entry, entries, and entries of the residual codebook; then the same of outliers
# and how many inputs they are.
MAIN, OUTLIERS = "main", "outliers"

# What vptq has only where it is packed: other values are those of a module that is being trained.
_ONLY: dict[str, Any] = {"is_indice_packed": True, "indices_as_float": False, "vector_quant_dim": "out"}
_NONE = -1
# Shapes have no longer axes.
_BEYOND = 1 << 31


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {field: config.get(field) for field in (LAYERS, SHARED) if config.get(field)}


def schemes(config: Mapping[str, Any]) -> Schemes:
    found = {field: _entries(config, field) for field in (LAYERS, SHARED)}
    if not any(found.values()):
        raise fields.bad(LAYERS, config.get(LAYERS), f"settings of one module at least, here or in {SHARED}")
    return _Named(found)


def _entries(config: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = config.get(field)
    if found is not None and not isinstance(found, Mapping):
        raise fields.bad(field, found, "settings by names of modules")
    return found or {}


class _Named:
    """Schemes by name. The default is the first one, which is that of a module alone."""

    def __init__(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        self._entries = entries
        self._read: dict[str, Scheme] = {}
        self.default = self._scheme(*next(self._all()))

    def scheme(self, module: str) -> Scheme:
        """MalformedCheckpoint ``bad-config-value`` also for a module of which nothing is said."""
        if (found := self._find(module)) is None:
            raise fields.bad(LAYERS, None, f"settings of {fields.shown(module)}, which is packed")
        return self._scheme(*found)

    def place(self, module: str) -> str | None:
        found = self._find(module)
        return found and found[0]

    def _all(self) -> Iterator[tuple[str, Any]]:
        for field, entries in self._entries.items():
            yield from ((f"{field}.{fields.shown(name)}", settings) for name, settings in entries.items())

    def _find(self, module: str) -> tuple[str, Any] | None:
        for field, name in ((LAYERS, module), (SHARED, module.rpartition(".")[2])):
            if name in self._entries[field]:
                return f"{field}.{fields.shown(name)}", self._entries[field][name]
        return None

    def _scheme(self, place: str, settings: object) -> Scheme:
        if place not in self._read:
            if not isinstance(settings, Mapping):
                raise fields.bad(place, settings, "an object")
            try:
                self._read[place] = _scheme(settings)
            except QuantError as error:
                where = f"{place}.{error.where}" if error.where else place
                raise type(error)(error.code, error.message, where=where) from None
        return self._read[place]


def _scheme(settings: Mapping[str, Any]) -> Scheme:
    for field, value in _ONLY.items():
        said = settings.get(field, value)
        if said != value or isinstance(said, bool) != isinstance(value, bool):
            text = f"{field} is {fields.shown(said)}, of which no packed weight is made; only {value!r} is decoded"
            raise UnsupportedFormat("unsupported-layout", text, where=field)
    (apart, vector), (few, entries), (never, residual) = (
        _two(settings, field) for field in ("vector_lens", "num_centroids", "num_res_centroids")
    )
    books, size = _count(settings, "group_num", 1), _count(settings, "group_size", _NONE)
    outliers = _count(settings, "outlier_size", 0)
    if vector < 1:
        raise fields.bad("vector_lens", settings["vector_lens"], "a second number that is positive")
    bits, more = _width("num_centroids", entries), _width("num_res_centroids", residual) if residual > 0 else 0
    if residual == 1 or more > bits:
        text = f"{fields.shown(residual)} entries beside {entries}: VPTQ cuts their codes to {bits} bits, and none to 0"
        raise UnsupportedFormat("unsupported-layout", text, where="num_res_centroids")
    # As VQuantLinear has it: an entry of one weight, or no entry at all, means that there are none.
    if (apart > 1 and few > 0) != (outliers > 0):
        raise fields.bad("outlier_size", outliers, "inputs where there is a codebook of outliers, and 0 where not")
    if outliers and never != _NONE:
        raise UnsupportedFormat("unsupported-layout", "VPTQ has no residuals of outliers", where="num_res_centroids")
    flags = {field: fields.boolean(settings, field) for field in ("enable_perm", "enable_norm")}
    for field, said in flags.items():
        if said is None:
            raise fields.bad(field, None, "true or false")
    out, inputs = (_size(settings, field) for field in ("out_features", "in_features"))
    return Scheme(
        dialect=ID,
        packing=ID,
        bits=bits,
        group_size=size if size > 0 else _NONE,
        layout="vectors",
        sym=not flags["enable_norm"],
        desc_act=flags["enable_perm"],
        block=(vector, 1),
        codebooks=books,
        shape=(out, inputs),
        shapes=((MAIN, (vector, entries, 1 << more if more else 0)), (OUTLIERS, (apart, few, outliers))),
    )


def _two(settings: Mapping[str, Any], field: str) -> tuple[int, int]:
    value = settings.get(field)
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise fields.bad(field, value, "two numbers, of outliers and of all others")
    if not all(type(number) is int and abs(number) < _BEYOND for number in value):
        raise fields.bad(field, value, "two numbers, of outliers and of all others")
    return value[0], value[1]


def _count(settings: Mapping[str, Any], field: str, least: int) -> int:
    value = fields.integer(settings, field, None)
    if not least <= value < _BEYOND or (least == _NONE and value == 0):
        raise fields.bad(field, value, f"a number, at least {least}")
    return value


def _size(settings: Mapping[str, Any], field: str) -> int | None:
    """None where nothing is said, as transformers' default of -1 says nothing."""
    value = fields.integer(settings, field, _NONE)
    if not 1 <= value < _BEYOND and value != _NONE:
        raise fields.bad(field, value, "a positive number")
    return None if value == _NONE else value


def _width(field: str, entries: int) -> int:
    if entries < 1 or entries & (entries - 1):
        text = f"{fields.shown(entries)} entries, of which VPTQ packs no codes; expected a power of two"
        raise UnsupportedFormat("unsupported-layout", text, where=field)
    return entries.bit_length() - 1
