"""A checkpoint under the names that mlx-lm's model knows, where its producer wrote others.

GPTQModel 7 takes a model apart before it quantises it (a matrix a projection, a module an expert), and writes the parts
by names of its own, which transformers' loaders do not know either. Sources: GPTQModel 7.7.0 and defuser 0.0.28,
``model_registry.py`` and ``modeling``; mlx-lm 0.32.2, ``models``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx

from ..checkpoint.checkpoint import Checkpoint
from ..checkpoint.modules import PackedModule
from ..files.folder import TensorInfo
from ..packings.checks import BIAS
from ..weights.decoded import Weight
from ..weights.joined import Joined

_EXPERTS = {
    ".mlp.gate": ".block_sparse_moe.gate",
    ".mlp.e_score_correction_bias": ".block_sparse_moe.e_score_correction_bias",
    ".mlp.experts.*.gate_proj": ".block_sparse_moe.experts.*.w1",
    ".mlp.experts.*.down_proj": ".block_sparse_moe.experts.*.w2",
    ".mlp.experts.*.up_proj": ".block_sparse_moe.experts.*.w3",
}
_GATE_UP = {".mlp.gate_proj": ".mlp.gate_up_proj", ".mlp.up_proj": ".mlp.gate_up_proj"}
_STACK = {f".mlp.experts.*.{name}_proj": f".mlp.experts.{name}_proj" for name in ("gate", "up", "down")}
# By model_type: how a module's name ends, and how it must; how all names begin, where it ends with a dot. ``*`` is a
# number. Modules that come to one name are joined: numbered ones stacked in their order, others row below row in the
# order of this table.
NAMES: Mapping[str, Mapping[str, str]] = {
    "glm": _GATE_UP,
    "glm4": _GATE_UP,
    "gpt2": {"transformer.": ""},
    "gpt_neox": {"lm_head": "embed_out"},
    "gpt_oss": _STACK,
    "minimax_m2": _EXPERTS,
    "mixtral": _EXPERTS,
    "phi3": _GATE_UP,
}
_NUMBER = "([0-9]{1,6})"
_LEAVES = (".weight", ".bias")


@dataclass(frozen=True)
class _Join:
    """What one name is made of, in order."""

    sources: tuple[str, ...]
    stacked: bool

    @property
    def joined(self) -> bool:
        """Whether it is more than another name."""
        return self.stacked or len(self.sources) > 1


def as_mlx_lm_names(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Checkpoint:
    """``checkpoint``, with the names that mlx-lm's model of ``config`` has; itself where nothing needs another name.

    What does not come together whole (a part is missing, is dense where others are packed, or is packed in another way)
    keeps its names, and whoever loads it says that it has no place for them.
    """
    text = config.get("text_config")
    types = [config.get("model_type"), text.get("model_type") if isinstance(text, Mapping) else None]
    rules = next((NAMES[kind] for kind in types if isinstance(kind, str) and kind in NAMES), None)
    if rules is None:
        return checkpoint
    taken = {_cut(name)[0] for name in checkpoint.plain} | checkpoint.modules.keys()
    modules, plain = {}, {}
    for name, one in _joins(checkpoint.modules, rules):
        parts = [checkpoint.modules[part] for part in one.sources]
        biases = [part.tensors[BIAS] for part in parts if BIAS in part.tensors]
        if name in taken or not (_alike(parts, one) and _fit(biases, one)):
            continue
        modules[name] = one
        if biases:
            plain[f"{name}.{BIAS}"] = replace(one, sources=tuple(info.name for info in biases))
    for name, one in _joins(checkpoint.plain, rules, leaves=True):
        free = name not in checkpoint.plain and _cut(name)[0] not in {*checkpoint.modules, *modules}
        if free and _fit([checkpoint.plain[part] for part in one.sources], one):
            plain[name] = one
    return Renamed(checkpoint, modules, plain) if plain or modules else checkpoint


class Renamed(Checkpoint):
    """An open checkpoint of which some modules and tensors have other names, or are joined.

    Args:
        checkpoint: as opened.
        modules, plain: by the new name, what packed modules, and other tensors, are made of.
    """

    def __init__(self, checkpoint: Checkpoint, modules: Mapping[str, _Join], plain: Mapping[str, _Join]) -> None:
        vars(self).update(vars(checkpoint))
        self._inner, self._made, self._plain = checkpoint, dict(modules), dict(plain)
        self._examined = {}
        self._tensors = dict(_renamed(self._tensors, self._plain, _as_one_tensor))
        biases = {one.sources: self._tensors[name] for name, one in self._plain.items()}
        self.modules = dict(
            _renamed(checkpoint.modules, self._made, lambda name, parts, one: _as_one(name, parts, one, biases))
        )
        self.plain = {name: info for name, info in self._tensors.items() if name in self._plain or name in self.plain}
        inside = {info.name for module in self.modules.values() for info in module.tensors.values()}
        self.plain = {name: info for name, info in self.plain.items() if name not in inside}

    def tensor(self, name: str) -> mx.array:
        one = self._plain.get(name)
        if one is None:
            return self._inner.tensor(name)
        return _whole([self._inner.tensor(part) for part in one.sources], one)

    def read_ahead(self, name: str, *, codes: bool = True) -> None:
        for part in self._sources(name):
            self._inner.read_ahead(part, codes=codes)

    def decode(self, name: str) -> Weight:
        parts = tuple(self._inner.decode(part) for part in self._sources(name))
        one = self._made.get(name)
        return Joined(parts, one.stacked) if one and one.joined else parts[0]

    def _sources(self, name: str) -> tuple[str, ...]:
        return self._made[name].sources if name in self._made else (name,)


def _joins(found: Mapping[str, Any], rules: Mapping[str, str], *, leaves: bool = False) -> Iterator[tuple[str, _Join]]:
    """New names, and what comes to each: whole rows or stacks only."""
    patterns = [(_pattern(old), old, new) for old, new in rules.items()]
    gathered: dict[str, dict[tuple[int, int], str]] = {}
    wanted: dict[str, int] = {}
    for name in found:
        module, leaf = _cut(name) if leaves else (name, "")
        for order, (pattern, old, new) in enumerate(patterns):
            if (match := pattern.fullmatch(module)) is None:
                continue
            numbered = "*" in old and "*" not in new
            number = int(match[2]) if numbered else 0
            named = new.replace("*", match[2]) if "*" in new else new
            target = (named + match[1] if old.endswith(".") else match[1] + named) + leaf
            gathered.setdefault(target, {})[number, order] = name
            wanted[target] = 0 if numbered else sum(other == new for other in rules.values())
            break
    for target, parts in gathered.items():
        numbers = sorted(parts)
        whole = len(parts) == wanted[target] if wanted[target] else [n for n, _ in numbers] == list(range(len(parts)))
        if whole:
            yield target, _Join(tuple(parts[number] for number in numbers), stacked=not wanted[target])


def _cut(name: str) -> tuple[str, str]:
    """A tensor's module and the rest of its name; one that is no module's is left whole."""
    leaf = next((leaf for leaf in _LEAVES if name.endswith(leaf)), "")
    return name.removesuffix(leaf), leaf


def _pattern(end: str) -> re.Pattern[str]:
    """Of names that end so, at a dot, or begin so; what stands before it, or after, is the first group."""
    if end.endswith("."):
        return re.compile(f"{re.escape(end)}(.+)", re.DOTALL)
    before = "(.*)" if end.startswith(".") else r"(|.*\.)"
    return re.compile(before + _NUMBER.join(map(re.escape, end.split("*"))), re.DOTALL)


def _alike(modules: list[PackedModule], one: _Join) -> bool:
    """Whether modules may be parts of one."""
    kinds = {
        (
            part.shape if one.stacked else part.in_features,
            part.dtype,
            part.scales,
            part.scheme.packing,
            part.scheme.sym,
            BIAS in part.tensors,
        )
        for part in modules
    }
    return not one.joined or (len(kinds) == 1 and all(part.experts is None for part in modules))


def _fit(infos: list[TensorInfo], one: _Join) -> bool:
    """Whether tensors may be parts of one; none are."""
    if not one.joined or not infos:
        return True
    return len({(info.dtype, info.shape if one.stacked else info.shape[1:]) for info in infos}) == 1 and all(
        info.shape for info in infos
    )


def _renamed(found: Mapping[str, Any], joins: Mapping[str, _Join], make: Any) -> Iterator[tuple[str, Any]]:
    """The same in the same order, where what is joined stands in the place of its first part."""
    firsts = {one.sources[0]: name for name, one in joins.items()}
    gone = {part for one in joins.values() for part in one.sources}
    for name, value in found.items():
        if name in firsts:
            one = joins[firsts[name]]
            yield firsts[name], make(firsts[name], [found[part] for part in one.sources], one)
        elif name not in gone:
            yield name, value


def _as_one_tensor(name: str, infos: list[TensorInfo], one: _Join) -> TensorInfo:
    shape = infos[0].shape
    if one.stacked:
        shape = (len(infos), *shape)
    elif one.joined:
        shape = (sum(info.shape[0] for info in infos), *shape[1:])
    return replace(infos[0], name=name, shape=shape)


def _as_one(
    name: str, parts: list[PackedModule], one: _Join, biases: Mapping[tuple[str, ...], TensorInfo]
) -> PackedModule:
    first, tensors = parts[0], dict(parts[0].tensors)
    if BIAS in tensors:
        tensors[BIAS] = biases[tuple(part.tensors[BIAS].name for part in parts)]
    out = first.out_features if one.stacked else sum(part.out_features for part in parts)
    experts = len(parts) if one.stacked else first.experts
    return replace(first, name=name, tensors=tensors, out_features=out, experts=experts)


def _whole(arrays: list[mx.array], one: _Join) -> mx.array:
    if not one.joined:
        return arrays[0]
    return mx.stack(arrays) if one.stacked else mx.concatenate(arrays)
