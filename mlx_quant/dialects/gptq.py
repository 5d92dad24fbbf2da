"""AutoGPTQ's and GPTQModel's configurations, with ``dynamic``: rules for modules by regular expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat
from . import fields
from .patterns import Patterns
from .rules import Ruled
from .schemes import Scheme, Schemes

ID = "gptq"

# By the label of format or checkpoint_format.
_PACKINGS = {"gptq": "gptq", "gptq_v2": "gptq", "gptq_p": "gptq_planar", "marlin": "gptq_marlin"}
_ADVICE = {
    "bitblas": "use the plain GPTQ repo that these kernel tiles were made from",
}


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    # quantize_config.json of AutoGPTQ before it wrote quant_method is known by desc_act.
    return named == ID if named is not None else config.get("desc_act") is not None


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    found = {field: fields.one(config, field) for field in ("desc_act", "sym", "dynamic")}
    if any(config.get(key) for key in ("is_marlin_format", "format", "checkpoint_format")):
        found["checkpoint_format"] = _layout(config)
    return found


def schemes(config: Mapping[str, Any]) -> Schemes:
    return _Dynamic(config)


class _Dynamic(Ruled):
    """GPTQModel's ``dynamic``: ordered regular expressions over module names; the first that matches decides.

    Patterns match from the start of a name.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config, _scheme)
        dynamic = config.get("dynamic") or {}
        if not isinstance(dynamic, Mapping):
            raise MalformedCheckpoint("bad-config-value", f"is {dynamic!r}, expected an object", where="dynamic")
        patterns = Patterns()
        self._rules = [_Rule(str(pattern), values, patterns) for pattern, values in dynamic.items()]

    def _find(self, module: str) -> _Rule | None:
        return next((rule for rule in self._rules if rule.pattern.match(module)), None)


class _Rule:
    """One entry of ``dynamic``. A ``-:`` rule excludes modules; one that is packed all the same keeps the default."""

    def __init__(self, pattern: str, values: object, patterns: Patterns) -> None:
        self.place = f"dynamic: {pattern}"
        self.pattern = patterns.compiled(pattern.removeprefix("-:").removeprefix("+:"), self.place)
        self.values: Mapping[str, Any] | None = None
        if pattern.startswith("-:") or not values:
            return
        if not isinstance(values, Mapping):
            raise MalformedCheckpoint("bad-config-value", f"is {values!r}, expected an object", where=self.place)
        self.values = values


def _scheme(config: Mapping[str, Any]) -> Scheme:
    layout = _layout(config)
    if layout not in _PACKINGS:
        raise fields.undecoded_layout(ID, "checkpoint_format", layout, _PACKINGS, _ADVICE)
    bits = fields.integer(config, "bits", default=None)
    if bits in (5, 6, 7) and layout != "gptq_p":
        raise UnsupportedFormat(
            "unsupported-bits", f"{bits} bits under {layout!r}; GPTQModel has them in planes, as gptq_p", where="bits"
        )
    return Scheme(
        dialect=ID,
        packing=_PACKINGS[layout],
        bits=bits,
        group_size=fields.group_size(config, default=-1),
        layout=layout,
        sym=fields.boolean(config, "sym"),
        desc_act=fields.boolean(config, "desc_act"),
        static_groups=fields.boolean(config, "static_groups"),
        producer=fields.producer(config),
    )


def _layout(config: Mapping[str, Any]) -> str:
    if config.get("is_marlin_format"):
        return "marlin"
    # GPTQModel reads `format` and falls back to the older `checkpoint_format`; AutoGPTQ wrote neither for years.
    spelled = {str(config[key]).lower() for key in ("format", "checkpoint_format") if config.get(key)}
    if len(spelled) > 1:
        raise MalformedCheckpoint(
            "config-contradiction", f"format and checkpoint_format disagree: {sorted(spelled)}", where="format"
        )
    return spelled.pop() if spelled else "gptq"
