"""AutoRound's configurations: which packing was written, and ``extra_config`` for modules that are unlike the rest.

AutoRound packs as GPTQ or as AWQ does and says so in ``packing_format`` (``backend`` before 0.5). Whether zero points
are stored less one hangs on that label alone. Its small floats are laid out as those of compressed-tensors, which it
calls ``llm_compressor``. Source: auto-round 0.16.1, ``inference/convert_model.py``, ``inference/backend.py`` and
``export/export_to_autoround``; 0.3.1 for ``backend``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat
from . import fields
from .patterns import Pattern, Patterns
from .rules import Ruled
from .schemes import Scheme, Schemes

ID = "auto-round"

# packing_format without its first part, and backend without the kernel at its end: the packing and its layout.
_PACKINGS = {
    "auto_gptq": ("gptq", "gptq"),
    "gptq": ("gptq", "gptq"),
    "auto": ("gptq", "gptq"),
    "": ("gptq", "gptq_v2"),
    "gptqmodel": ("gptq", "gptq_v2"),
    "auto_awq": ("awq_gemm", "gemm"),
    "awq": ("awq_gemm", "gemm"),
}
_KERNELS = ("exllamav2", "triton", "tritonv2")
_FLOATS = "llm_compressor"
# By the width of floats whose scales are powers of two: every product is exact, so the order of its factors is nothing.
_MX = {4: ("mxfp4", "mxfp4-pack-quantized"), 8: ("fp8", "mxfp8-quantized")}
_MX_TYPES, _MX_GROUP = ("mx_fp", "mx_fp_rceil"), 32
# Set where inputs are rotated as the model runs.
_ROTATIONS = ("rotation_config", "spinquant_config")
_ADVICE = {
    "llm_compressor_nvfp4_e5m3": "its scales have five exponent bits, which nothing else reads",
    "fp8_static": "its weights are 8-bit floats; export the model as compressed-tensors",
    "fp8": "its weights are 8-bit floats; export the model as compressed-tensors",
    "fake": "its weights are stored dense: remove quantization_config and load it as it is",
    "mlx": "its tensors are MLX's own; load it with mlx_lm after renaming the configuration",
}
# Widths from here on mean that a module was left as it was.
_DENSE = 16


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    if named is None:
        return "autoround_version" in config or isinstance(config.get("packing_format"), str)
    return named in (ID, f"intel/{ID}", "autoround")


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    found = {field: fields.one(config, field) for field in ("sym", "extra_config", "data_type")}
    if _label(config) is not None:
        found["packing_format"] = _packing_format(config)
    return found


def schemes(config: Mapping[str, Any]) -> Schemes:
    for key in _ROTATIONS:
        if config.get(key):
            raise UnsupportedFormat(
                "unsupported-layout",
                "the weights are stored in a rotated basis, which the model must undo; use an export without rotations",
                where=key,
            )
    return _Extra(config)


class _Extra(Ruled):
    """The rules of one checkpoint: a full name wins, then the first regular expression found in a name.

    A module whose rule says 16 bits is expected dense; one that is packed all the same keeps the settings of the rest.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config, _scheme)
        self._exact: dict[str, _Rule] = {}
        self._patterns: list[_Rule] = []
        patterns = Patterns()
        for key in ("dynamic", "extra_config"):
            for name, values in _mapping(config, key).items():
                rule = _Rule(key, str(name), values, patterns)
                if key == "extra_config":
                    self._exact[str(name)] = rule
                if rule.pattern is not None:
                    self._patterns.append(rule)

    def _find(self, module: str) -> _Rule | None:
        found = self._exact.get(module)
        found = found or next((rule for rule in self._patterns if rule.matches(module)), None)
        return None if found is None or found.dense else found


class _Rule:
    """One entry of ``extra_config``, or of the ``dynamic`` that AutoRound takes over from GPTQModel."""

    def __init__(self, key: str, name: str, values: object, patterns: Patterns) -> None:
        self.place = f"{key}: {name}"
        if not isinstance(values, Mapping):
            raise MalformedCheckpoint("bad-config-value", f"is {values!r}, expected an object", where=self.place)
        self.values: Mapping[str, Any] | None = {key: value for key, value in values.items() if value is not None}
        bits = fields.one(self.values, "bits")
        self.dense = name.startswith("-:") or (isinstance(bits, int) and bits >= _DENSE)
        self.pattern = self._compiled(name, patterns) if values or self.dense else None

    def _compiled(self, name: str, patterns: Patterns) -> Pattern | None:
        try:
            return patterns.compiled(re.sub(r"^[+-]:", "", name), self.place)
        except MalformedCheckpoint as error:
            if not isinstance(error.__cause__, re.error):
                raise
            return None  # AutoRound skips what it cannot compile: then it is a name

    def matches(self, module: str) -> bool:
        return self.pattern is not None and self.pattern.search(module)


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, Mapping):
        raise MalformedCheckpoint("bad-config-value", f"is {value!r}, expected an object", where=key)
    return value


def _scheme(config: Mapping[str, Any]) -> Scheme:
    label = _packing_format(config)
    if label == _FLOATS:
        return _floats(config)
    if label not in _PACKINGS:
        decoded = [name for name in (*_PACKINGS, _FLOATS) if name]
        raise fields.undecoded_layout(ID, "packing_format", label, decoded, _ADVICE)
    kind = str(config.get("data_type") or "int").lower()
    if not kind.startswith("int"):
        raise UnsupportedFormat(
            "unsupported-layout",
            f"data_type {kind!r} is not decoded; integers are. {_float_advice(kind)}",
            where="data_type",
        )
    packing, layout = _PACKINGS[label]
    return Scheme(
        dialect=ID,
        packing=packing,
        bits=fields.integer(config, "bits", default=4),
        group_size=fields.group_size(config, default=128),
        layout=layout,
        sym=fields.boolean(config, "sym"),
        producer=fields.producer(config) or _version(config),
    )


def _floats(config: Mapping[str, Any]) -> Scheme:
    """Of what AutoRound lays out as compressed-tensors does."""
    kind, bits = str(config.get("data_type") or "int").lower(), fields.integer(config, "bits", default=4)
    if kind not in _MX_TYPES or bits not in _MX:
        why = "supported: mx_fp of 4 and of 8 bits. Export the model in llm_compressor's own format"
        if kind == "nv_fp":
            why = (
                "AutoRound multiplies by the reciprocal of the scale of the matrix, which rounds otherwise than "
                "compressed-tensors' quotient. Export it in llm_compressor's own format, of which NVFP4 is decoded"
            )
        raise UnsupportedFormat(
            "unsupported-layout", f"data_type {kind!r} of {bits} bits is not decoded; {why}", where="data_type"
        )
    size = fields.group_size(config, default=_MX_GROUP)
    packing, layout = _MX[bits]
    if size != _MX_GROUP:
        raise UnsupportedFormat(
            "unsupported-group-size", f"is {size}; {kind} has groups of {_MX_GROUP}", where="group_size"
        )
    return Scheme(
        dialect=ID,
        packing=packing,
        bits=bits,
        group_size=size,
        layout=layout,
        sym=True,
        producer=fields.producer(config) or _version(config),
        block=(1, size),
        strategy="group",
        notes=_notes(config),
    )


def _notes(config: Mapping[str, Any]) -> tuple[str, ...]:
    width = config.get("act_bits")
    quantised = isinstance(width, int) and width < _DENSE
    text = "the configuration quantises activations as well; they are left as they are, only weights are decoded"
    return (text,) if quantised else ()


def _float_advice(kind: str) -> str:
    if kind.startswith(("mx", "nv")):
        return "Export the model as compressed-tensors (llm_compressor), where such 4- and 8-bit floats are known"
    return "Use an export of the model with data_type int"


def _version(config: Mapping[str, Any]) -> tuple[str, tuple[int, ...]] | None:
    value = config.get("autoround_version")
    if not isinstance(value, str):
        return None
    return "autoround", tuple(int(part) for part in re.findall(r"\d+", value)[:3])


def _label(config: Mapping[str, Any]) -> str | None:
    """What a config says of its packing; ``backend`` alone may also name a kernel or a device, which says nothing."""
    label = fields.one(config, "packing_format")
    if label is None:
        backend = str(config.get("backend")).lower()
        return backend if re.match("auto[-_]?round|auto[-_]gptq", backend) else None
    if not isinstance(label, str):
        raise fields.bad("packing_format", label, "a name")
    return label


def _packing_format(config: Mapping[str, Any]) -> str:
    """The label in one spelling, without ``auto_round:`` and without a kernel: ``""`` is AutoRound's own packing."""
    spelled = _label(config)
    if spelled is None:
        return "auto_gptq"  # transformers' default
    words = re.sub("^auto[-_]?round", "auto_round", spelled.lower()).replace("-", "_").split(":")
    words = words[1:] if words[0] == "auto_round" else words
    return ":".join(words[:-1] if words and words[-1] in _KERNELS else words)
