"""What a checkpoint's JSON files say it is: the quantisation config, wherever written, and what is refused on sight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config import Scheme, method_of, overridden, parse, stated
from .errors import MalformedCheckpoint, UnsupportedFormat
from .files import Files, read_json
from .formats import module_named

# In the order in which they win where only one of them says something.
_SIDECARS = ("quantize_config.json", "quant_config.json")
_MODELOPT = "hf_quant_config.json"
_VISION_KEYS = ("vision_config", "visual", "vision_tower", "mm_vision_tower", "audio_config")
_ADVICE = {
    "gptq-v2": "save it again as checkpoint_format gptq with GPTQModel",
    "marlin": "use the plain GPTQ or AWQ (gemm) repo that these kernel tiles were made from",
    "bitblas": "use the plain GPTQ repo that these kernel tiles were made from",
    "gemv": "use a gemm export of the same model, or quantise it again with version gemm",
    "gemv-fast": "use a gemm export of the same model, or quantise it again with version gemm",
    "exllama": "use a gemm export of the same model",
    "llm-awq": "use an AutoAWQ gemm export of the same model",
}


@dataclass(frozen=True)
class Detected:
    """What the JSON files say.

    Attributes:
        config: ``config.json``.
        quantization: every source merged; the first wins where another says nothing.
        scheme: the checkpoint's default scheme, before per-module overrides.
        sources: where ``quantization`` was found.
    """

    config: dict[str, Any]
    quantization: dict[str, Any]
    scheme: Scheme
    sources: tuple[str, ...]


def detect(files: Files) -> Detected:
    """Read the configuration files and refuse what this package does not decode.

    Raises:
        UnsupportedFormat: ``not-quantized``, ``mlx-native``, ``unsupported-architecture``, ``unsupported-method``,
            ``unsupported-layout``, ``unsupported-bits``.
        MalformedCheckpoint: ``missing-file``, ``bad-file``, ``bad-config-value``, ``config-contradiction``.
    """
    config = read_json(files, "config.json")
    if config is None:
        hint = (
            "adapter_config.json is here: load its base model" if "adapter_config.json" in files.names else "expected"
        )
        raise MalformedCheckpoint("missing-file", f"not found in {files.label} ({hint})", where="config.json")
    refuse_native(config)
    sources = _sources(files, config)
    if not sources:
        raise UnsupportedFormat(
            "not-quantized",
            f"no quantization_config, and none of {', '.join(_SIDECARS)}; load it with mlx_lm, which needs no decoder",
            where="config.json",
        )
    merged = _merged(sources)
    refuse_vision(config)
    method = method_of(merged)
    module_named(method)
    scheme = parse(merged)
    refuse_undecoded(scheme, where=next(iter(sources)))
    return Detected(config, merged, scheme, tuple(sources))


def refuse_native(config: Mapping[str, Any]) -> None:
    """UnsupportedFormat ``mlx-native`` for weights that MLX itself quantised."""
    if isinstance(config.get("quantization"), Mapping):
        raise UnsupportedFormat(
            "mlx-native",
            "these weights are in MLX's own quantised form; mlx_lm.load reads them directly",
            where="config.json: quantization",
        )


def refuse_vision(config: Mapping[str, Any]) -> None:
    """UnsupportedFormat ``unsupported-architecture`` for models that are more than a text decoder."""
    found = next((key for key in _VISION_KEYS if config.get(key)), None)
    named = config.get("architectures") or ()
    name = next((str(name) for name in named if str(name).endswith("ForConditionalGeneration")), None)
    if found or name:
        raise UnsupportedFormat(
            "unsupported-architecture",
            f"{name or found} is a vision or encoder-decoder model; use a text-only export of its language model",
            where="config.json: " + ("architectures" if name else str(found)),
        )


def refuse_undecoded(scheme: Scheme, where: str) -> None:
    """UnsupportedFormat ``unsupported-layout`` or ``unsupported-bits`` for what no format module decodes."""
    decoder = module_named(scheme.method)
    # The label alone does not condemn it: symmetric data labelled v2 may turn out to be v1, which is decoded.
    undecided = scheme.method == "gptq" and scheme.layout == "gptq_v2" and scheme.sym is not False
    if scheme.layout not in decoder.LAYOUTS and not undecided:
        advice = _ADVICE.get(
            scheme.layout.replace("_", "-"), "use a plain GPTQ or AWQ (gemm) export; this layout is unknown"
        )
        raise UnsupportedFormat(
            "unsupported-layout",
            f"{scheme.method} layout {scheme.layout!r} is not decoded; supported: {', '.join(decoder.LAYOUTS)}. "
            f"What to do: {advice}",
            where=where,
        )
    if scheme.bits not in decoder.BITS:
        raise UnsupportedFormat(
            "unsupported-bits",
            f"{scheme.method} with {scheme.bits} bits is not decoded; supported: {', '.join(map(str, decoder.BITS))}",
            where=where,
        )


class Overrides:
    """GPTQModel's ``dynamic``: ordered regular expressions over module names; the first that matches decides.

    Raises MalformedCheckpoint ``bad-config-value`` for anything else.
    """

    def __init__(self, quantization: Mapping[str, Any], default: Scheme) -> None:
        self._quantization, self._default = quantization, default
        dynamic = quantization.get("dynamic") or {}
        if not isinstance(dynamic, Mapping):
            raise MalformedCheckpoint("bad-config-value", f"is {dynamic!r}, expected an object", where="dynamic")
        self._rules = [self._rule(str(pattern), values) for pattern, values in dynamic.items()]

    def scheme(self, module: str) -> Scheme:
        """The scheme of a packed module. One that a ``-:`` rule excludes keeps the default: its tensors exist.

        Raises UnsupportedFormat as :func:`refuse_undecoded`, for the rule that matches.
        """
        for where, pattern, scheme in self._rules:
            if pattern.match(module):
                refuse_undecoded(scheme, where)
                return scheme
        return self._default

    def _rule(self, pattern: str, values: object) -> tuple[str, re.Pattern[str], Scheme]:
        where = f"dynamic: {pattern}"
        try:
            compiled = re.compile(pattern.removeprefix("-:").removeprefix("+:"))
        except re.error as error:
            raise MalformedCheckpoint("bad-config-value", f"not a regular expression: {error}", where=where) from error
        if pattern.startswith("-:") or not values:
            return where, compiled, self._default
        if not isinstance(values, Mapping):
            raise MalformedCheckpoint("bad-config-value", f"is {values!r}, expected an object", where=where)
        return where, compiled, parse(overridden(self._quantization, values))


def _sources(files: Files, config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    text = config.get("text_config")
    found = {
        "config.json: quantization_config": config.get("quantization_config"),
        "config.json: text_config.quantization_config": (
            text.get("quantization_config") if isinstance(text, Mapping) else None
        ),
    }
    found |= {name: read_json(files, name) for name in _SIDECARS}
    if read_json(files, _MODELOPT) is not None:
        found[_MODELOPT] = {"quant_method": "modelopt"}
    for name, value in found.items():
        if value is not None and not isinstance(value, Mapping):
            raise MalformedCheckpoint("bad-config-value", f"is {value!r}, expected an object", where=name)
    return {name: value for name, value in found.items() if value}


def _merged(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One mapping of all sources, which must agree wherever two of them say something."""
    methods = [method for method in map(_implied, sources.values()) if method]
    merged: dict[str, Any] = {}
    said: dict[str, tuple[Any, str]] = {}
    for source, config in sources.items():
        for field, value in stated(config, methods[0] if methods else "").items():
            before, by = said.setdefault(field, (value, source))
            if before != value:
                raise MalformedCheckpoint(
                    "config-contradiction",
                    f"{by} says {before!r}, {source} says {value!r}; one of them belongs to another model",
                    where=field,
                )
        merged = overridden(config, merged)
    return merged


def _implied(config: Mapping[str, Any]) -> str | None:
    try:
        return method_of(config)
    except UnsupportedFormat:
        return None
