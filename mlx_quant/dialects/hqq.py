"""HQQ's configurations, as transformers writes them: one for all layers, or one for each kind of layer by its tag.

What describes a module lies in its tensors, which every reader goes by; a configuration that says otherwise is remarked
on. A tag is a module's name without ``model``, ``layers`` and numbers. ``skip_modules`` is not followed, because which
modules are packed is seen from their tensors. Source: transformers 5.23.0, ``utils/quantization_config.py``
(``HqqConfig``) and ``integrations/hqq.py``; hqq 0.2.8.post1, ``hqq_base_quant_config``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import QuantError, UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes, Uniform

ID = "hqq"

# Width of a code as it is said, to the bits that a packed code takes. 1.58 stands for three values.
WIDTHS: dict[float, int] = {8: 8, 6: 8, 5: 8, 4: 4, 3: 3, 2: 2, 1.58: 2, 1: 1}
_PARAMS = "weight_quant_params"


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {}  # tensors say it all


def schemes(config: Mapping[str, Any]) -> Schemes:
    settings = config.get("quant_config")
    if not isinstance(settings, Mapping) or not settings:
        raise fields.bad("quant_config", settings, f"an object with {_PARAMS}, or one for each tag of layers")
    if _PARAMS in settings:
        return Uniform(_scheme(settings))
    packed = {tag: value for tag, value in settings.items() if value is not None}
    if not packed:
        raise fields.bad("quant_config", settings, "settings for one tag of layers at least")
    return _Tagged({tag: _of_tag(tag, value) for tag, value in packed.items()})


class _Tagged:
    """Schemes by tag. Modules whose tag has none were left dense; one that is packed all the same has the first."""

    def __init__(self, found: Mapping[str, Scheme]) -> None:
        self._found, self.default = found, next(iter(found.values()))

    def scheme(self, module: str) -> Scheme:
        return self._found.get(_tag(module), self.default)

    def place(self, module: str) -> str | None:
        return f"quant_config.{tag}" if (tag := _tag(module)) in self._found else None


def _tag(module: str) -> str:
    return ".".join(part for part in module.split(".") if part not in ("model", "layers") and not part.isnumeric())


def _of_tag(tag: str, settings: object) -> Scheme:
    place = f"quant_config.{fields.shown(tag)}"
    if not isinstance(settings, Mapping):
        raise fields.bad(place, settings, "an object or null")
    try:
        # transformers writes nested settings; a user's own dynamic_config may stand there as it was given.
        return _scheme(settings if _PARAMS in settings else {_PARAMS: settings})
    except QuantError as error:
        raise type(error)(error.code, error.message, where=place) from None


def _scheme(settings: Mapping[str, Any]) -> Scheme:
    found = settings.get(_PARAMS)
    if not isinstance(found, Mapping):
        raise fields.bad(_PARAMS, found, "an object")
    for part in ("zero_quant_params", "scale_quant_params"):
        if settings.get(part) is not None and not isinstance(settings[part], Mapping):
            raise fields.bad(part, settings[part], "an object or null")
    nbits = found.get("nbits", 4)
    if isinstance(nbits, bool) or not isinstance(nbits, (int, float)):
        raise fields.bad("nbits", nbits, "a number")
    if nbits not in WIDTHS:
        raise UnsupportedFormat(
            "unsupported-bits",
            f"hqq with {fields.shown(nbits)} bits is not decoded; supported: {', '.join(map(str, WIDTHS))}",
            where="nbits",
        )
    axis = found.get("axis", 1)
    if isinstance(axis, bool) or axis not in (0, 1):
        raise fields.bad("axis", axis, "0 or 1")
    size = -1 if found.get("group_size", 64) is None else fields.group_size(found, 64)
    if fields.boolean(found, "channel_wise") is False:
        raise UnsupportedFormat(
            "unsupported-layout", "false, one scale for a whole matrix, is not decoded", where="channel_wise"
        )
    return Scheme(dialect=ID, packing=ID, bits=WIDTHS[nbits], group_size=size, layout=f"axis {axis}")
