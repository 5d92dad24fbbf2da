"""AutoGPTQ's and GPTQModel's configurations, with ``dynamic``: rules for modules by regular expression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat
from . import fields
from .patterns import Patterns
from .rules import Ruled
from .schemes import Scheme, Schemes

ID = "gptq"

# By the label of format or checkpoint_format.
_PACKINGS = {"gptq": "gptq", "gptq_v2": "gptq", "gptq_p": "gptq_planar", "marlin": "gptq_marlin"}
# By pack_dtype, bits of a word. GPTQModel has int64 as a name, and no layer that packs or reads it.
_WORDS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
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
    if config.get("pack_dtype") is not None:
        found["pack_dtype"] = _word(config)
    return found


def schemes(config: Mapping[str, Any]) -> Schemes:
    return Dynamic(config, _scheme)


class Dynamic(Ruled):
    """GPTQModel's ``dynamic``: ordered regular expressions over module names; the first that matches decides.

    Patterns match from the start of a name.
    """

    def __init__(self, config: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Scheme]) -> None:
        super().__init__(config, read)
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
    word, packing = _word(config), _PACKINGS[layout]
    if word == 64:
        raise UnsupportedFormat(
            "unsupported-dtype", "words of 64 bits, which no layer of GPTQModel packs or reads", where="pack_dtype"
        )
    return Scheme(
        dialect=ID,
        packing="gptq_narrow" if packing == "gptq" and word < 32 else packing,
        bits=bits,
        group_size=fields.group_size(config, default=-1),
        layout=layout,
        sym=fields.boolean(config, "sym"),
        desc_act=fields.boolean(config, "desc_act"),
        static_groups=fields.boolean(config, "static_groups"),
        producer=fields.producer(config),
        word=word,
    )


def _word(config: Mapping[str, Any]) -> int:
    """Bits of the words that codes are packed in."""
    name = fields.one(config, "pack_dtype")
    name = "int32" if name is None else name
    if not isinstance(name, str) or name.lower() not in _WORDS:
        raise fields.bad("pack_dtype", name, f"one of {', '.join(_WORDS)}")
    return _WORDS[name.lower()]


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
