"""compressed-tensors' configurations: groups of modules, each with a format and arguments of its own.

Source: compressed-tensors 0.19, ``quantization/quant_config.py``, ``utils/match.py``. ``ignore`` is not followed: which
modules are packed is seen from their tensors. What quantises activations does not touch the weight; it is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat
from . import fields
from .patterns import Patterns
from .schemes import Scheme, Schemes

ID = "compressed-tensors"

# By the format of a group and the type of its weights.
_PACKINGS = {
    ("pack-quantized", "int"): "ct_packed",
    ("int-quantized", "int"): "ct_int",
    ("naive-quantized", "int"): "ct_int",
    ("float-quantized", "float"): "fp8",
    ("naive-quantized", "float"): "fp8",
    ("mxfp8-quantized", "float"): "fp8",
    ("mxfp4-pack-quantized", "float"): "mxfp4",
    ("nvfp4-pack-quantized", "float"): "nvfp4",
}
_ADVICE = {
    "mxfp6-pack-quantized": "use an MXFP4 or MXFP8 export of the same model: MLX has no floats of six bits",
    "marlin-24": "use the plain export of the same model: these are 2:4 sparse kernel tiles",
    "sparse-24-bitmask": "use the dense or the packed export of the same model",
    "sparse-bitmask": "use the dense or the packed export of the same model",
}
# What shares a scale: integers of blocks and groups of unequal size are not decoded.
_STRATEGIES = {"int": ("tensor", "channel", "group"), "float": ("tensor", "channel", "group", "block")}
_OF_LAYOUTS = {"nvfp4-pack-quantized": ("tensor_group", "group")}
# "dynamic" is the old name of "group", and True meant it too.
_BY_MAP = ("group", "dynamic", "True")


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID if named is not None else "config_groups" in config


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config.get(key) for key in ("format", "config_groups")}


def schemes(config: Mapping[str, Any]) -> Schemes:
    _refuse_unfit(config)
    groups = config.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        raise fields.bad("config_groups", groups, "an object with at least one group")
    found = [_Group.read(str(name), group) for name, group in groups.items()]
    found = [group for group in found if group.weights is not None]
    if not found:
        raise UnsupportedFormat(
            "not-quantized", "no group of config_groups quantises weights; load it with mlx_lm", where="config_groups"
        )
    return _Groups(config, found)


def _refuse_unfit(config: Mapping[str, Any]) -> None:
    """What makes all weights other than their tensors say."""
    if fields.one(config, "format") == "dense":
        raise UnsupportedFormat(
            "not-quantized",
            "the weights are stored dense; remove quantization_config, and load it with mlx_lm",
            where="format",
        )
    if config.get("transform_config"):
        raise UnsupportedFormat(
            "unsupported-layout",
            "the weights are stored in a rotated basis, which the model must undo; use an export without rotations",
            where="transform_config",
        )
    sparsity = config.get("sparsity_config")
    if isinstance(sparsity, Mapping) and sparsity.get("format") not in (None, "dense"):
        raise fields.undecoded_layout(ID, "sparsity_config", str(sparsity["format"]), ("dense",), _ADVICE)


@dataclass(frozen=True)
class _Group:
    """One group of modules, as it is written; ``weights`` None where it quantises activations alone."""

    name: str
    targets: tuple[str, ...]
    weights: Mapping[str, Any] | None
    format: str | None
    activations: bool

    @classmethod
    def read(cls, name: str, group: object) -> _Group:
        if not isinstance(group, Mapping):
            raise fields.bad(f"config_groups: {name}", group, "an object")
        targets, weights = group.get("targets"), group.get("weights")
        if not isinstance(targets, (list, tuple)) or not all(isinstance(target, str) for target in targets):
            raise fields.bad(f"config_groups: {name}: targets", targets, "a list of names")
        if weights is not None and not isinstance(weights, Mapping):
            raise fields.bad(f"config_groups: {name}: weights", weights, "an object")
        form, inputs = group.get("format"), bool(group.get("input_activations") or group.get("output_activations"))
        return cls(name, tuple(targets), weights, None if form is None else str(form), inputs)

    @property
    def place(self) -> str:
        return f"config_groups: {self.name}"


class _Groups:
    """The groups of one checkpoint. Upstream takes names before patterns, in their order as strings, before classes.

    Every packed module is of a class that some group targets, since it is packed; which one is not known from names, so
    ``Linear`` comes first, and ``Embedding`` where a name says so.
    """

    def __init__(self, config: Mapping[str, Any], groups: list[_Group]) -> None:
        self._config, self._groups = config, groups
        self._targets = sorted(
            ((target, group) for group in groups for target in group.targets),
            key=lambda pair: ("re:" in pair[0], pair[0]),
        )
        patterns = Patterns()
        self._patterns = {
            target: patterns.compiled(target.removeprefix("re:"), group.place)
            for target, group in self._targets
            if target.startswith("re:")
        }
        self._found: dict[str, _Group | None] = {}
        self._read: dict[str, Scheme] = {}
        self.default = self._scheme(self._by_class("") or groups[0])

    def scheme(self, module: str) -> Scheme:
        if (group := self._group(module)) is None:
            raise MalformedCheckpoint(
                "config-contradiction",
                "the module is packed, but no group of config_groups targets it",
                where=f"config_groups: {module}",
            )
        return self._scheme(group)

    def place(self, module: str) -> str | None:
        group = self._group(module)
        return group.place if group is not None and len(self._groups) > 1 else None

    def _group(self, module: str) -> _Group | None:
        if module not in self._found:
            by_name = next((group for target, group in self._targets if self._names(target, module)), None)
            self._found[module] = by_name or self._by_class(module)
        return self._found[module]

    def _names(self, target: str, module: str) -> bool:
        return self._patterns[target].match(module) if target in self._patterns else target == module

    def _by_class(self, module: str) -> _Group | None:
        wanted = "Embedding" if module.rpartition(".")[2] == "embed_tokens" else "Linear"
        classes = [(target, group) for target, group in self._targets if re.fullmatch(r"[A-Z]\w*", target)]
        return next((group for target, group in classes if target == wanted), classes[0][1] if classes else None)

    def _scheme(self, group: _Group) -> Scheme:
        if group.name not in self._read:
            self._read[group.name] = _scheme(self._config, group)
        return self._read[group.name]


def _scheme(config: Mapping[str, Any], group: _Group) -> Scheme:
    assert group.weights is not None
    weights, place = group.weights, f"{group.place}: weights"
    form = group.format or fields.one(config, "format")
    layout, kind = str(form).lower(), str(weights.get("type") or "int").lower()
    if (layout, kind) not in _PACKINGS:
        decoded = [name for name, of in _PACKINGS if of == kind]
        raise fields.undecoded_layout(f"{ID} of type {kind}", group.place, layout, decoded, _ADVICE)
    size, strategy = weights.get("group_size"), weights.get("strategy")
    if strategy is None:
        strategy = "group" if size not in (None, -1) else "channel" if size == -1 else "tensor"
    known = _OF_LAYOUTS.get(layout, _STRATEGIES[kind])
    if strategy not in known:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"strategy {strategy!r} is not decoded for type {kind}; supported: {', '.join(known)}",
            where=place,
        )
    # Groups, and a scale of the whole matrix, which has a tensor of its own.
    strategy = "group" if strategy == "tensor_group" else strategy
    if strategy != "group":
        size = -1
    elif size is None:
        raise fields.bad(f"{place}: group_size", size, "a positive number, as strategy group needs")
    size = fields.group_size({"group_size": size}, default=-1)
    symmetric = fields.boolean({"symmetric": weights.get("symmetric", True)}, "symmetric")
    if kind == "float" and not symmetric:
        raise UnsupportedFormat("unsupported-layout", "floats with zero points are not decoded", where=place)
    return Scheme(
        dialect=ID,
        packing=_PACKINGS[layout, kind],
        bits=fields.integer({"num_bits": weights.get("num_bits", 8)}, "num_bits", default=8),
        group_size=size,
        layout=layout,
        sym=symmetric,
        desc_act=str(weights.get("actorder")) in _BY_MAP,
        producer=_version(config),
        block=_block(weights, place, strategy, size) if kind == "float" else None,
        strategy=strategy,
        notes=tuple(_notes(config, group)),
    )


def _block(weights: Mapping[str, Any], place: str, strategy: str, size: int) -> tuple[int, int] | None:
    """Rows and columns that share a scale of a float; None where the shape of the scales says it."""
    if strategy == "group":
        return 1, size
    if strategy != "block":
        return None
    value = weights.get("block_structure")
    # Upstream still takes the text that older releases wrote.
    if isinstance(value, str) and re.fullmatch(r"\d+x\d+", value):
        value = [int(number) for number in value.split("x")]
    return fields.pair(f"{place}: block_structure", value, "two positive numbers, as strategy block needs")


def _version(config: Mapping[str, Any]) -> tuple[str, tuple[int, ...]] | None:
    """The release that wrote the configuration, which it gives as ``version``."""
    numbers = re.findall(r"\d+", str(config.get("version") or ""))
    return (ID, tuple(int(number) for number in numbers[:3])) if numbers else None


def _notes(config: Mapping[str, Any], group: _Group) -> Iterator[str]:
    if group.activations:
        yield "the configuration quantises activations as well; they are left as they are, only weights are decoded"
    if config.get("kv_cache_scheme"):
        yield "the configuration quantises the cache of keys and values; it is left as it is"
