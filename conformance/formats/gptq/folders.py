"""Checkpoint folders of GPTQ: how the common ones are packed, and those that only GPTQ has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import words
from ..build import GROUP_SIZE, LAYER, MODULES, VOCABULARY, Build
from ..dialects import autoround
from ..folder import Folder, Packed
from ..parts import Config
from .packing import WIDTHS, config, config_of, group_size, spelled, version, width

SIDECAR = "quantize_config.json"
LEGACY = {"bits": 4, "group_size": GROUP_SIZE, "desc_act": False, "sym": False}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    """As producers store a module: a ``g_idx`` beside every one, and no zero point that readers part on.

    AutoRound's own packing has no ``g_idx``, and spells no group map.
    """
    bits, size = width(config), group_size(config, in_features)
    groups = -(-in_features // size)
    zeros = rng.integers(1, 1 << bits, (groups, out)) - (version(config) == 1)
    tensors = {
        "qweight": Array.of(rng.integers(-(2**31), 2**31, (-(-in_features * bits // 32), out), dtype=np.int32)),
        "qzeros": Array.of(words(zeros, bits)),
        "scales": Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16)),
    }
    if not autoround.reads(config):
        g_idx = np.arange(in_features, dtype=np.int32) // size
        tensors["g_idx"] = Array.of(rng.permutation(g_idx) if config.get("desc_act") else g_idx)
    return tensors


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_in_block_to_quantize": [packed]}


def folders() -> Iterator[Folder]:
    build = _build("act-order")
    build.settings["desc_act"] = True
    _repack(build)
    yield build.folder()
    build = _build("no-g_idx")
    for packed in build.packed.values():
        del packed.tensors["g_idx"]
    yield build.folder()
    build = _build("dynamic")
    build.settings["dynamic"] = {
        r"+:.*\.q_proj$": {"group_size": 64},
        r".*\.down_proj": {"group_size": -1},
        r"-:.*\.o_proj": {},
        r"+:.*\..*_proj": {"group_size": 16},
    }
    for name, shape in MODULES.items():
        size = {"q_proj": 64, "down_proj": -1}.get(name.rpartition(".")[2], 16)
        build.pack(LAYER + name, *shape, group_size=size)
    build.unpack(f"{LAYER}self_attn.o_proj")
    for packed in build.packed.values():
        packed.config.pop("dynamic")
    yield build.folder(flags=frozenset({"dynamic"}))
    build = _build("symmetric-under-the-wrong-label")
    build.settings |= {"sym": True, "checkpoint_format": "gptq"}
    build.packed = {name: _eights(packed) for name, packed in build.packed.items()}
    yield build.folder()
    yield from _family()
    yield from _older()
    yield from _rules()
    build = _build("g_idx-out-of-range")
    build.packed[f"{LAYER}self_attn.q_proj"].tensors["g_idx"] = Array.of(np.arange(64, dtype=np.int32) // 16)
    yield build.folder(code="group-index-out-of-range")


def _family() -> Iterator[Folder]:
    """Other widths and versions, alone and mixed in one checkpoint."""
    for bits in WIDTHS[1:]:
        build = _build(f"{bits}bit")
        build.settings = config(bits, GROUP_SIZE)
        _repack(build)
        yield build.folder(flags=frozenset({f"bits-{bits}"}))
    build = _build("autoround-rules")
    build.settings = spelled(config(5, GROUP_SIZE)) | {"packing_format": "auto_round"}
    build.settings["extra_config"] = {
        ".*down_proj.*": {"bits": 8, "group_size": -1},
        f"{LAYER}self_attn.k_proj": {"bits": 2, "group_size": 16},
        f"{LAYER}self_attn.o_proj": {"bits": 16},
        ".*self_attn.*": {"bits": 3},
    }
    own = {"down_proj": {"bits": 8, "group_size": -1}, "k_proj": {"bits": 2, "group_size": 16}}
    own |= {key: {"bits": 3} for key in ("q_proj", "v_proj")}
    plain = {key: value for key, value in build.settings.items() if key != "extra_config"}
    for name, shape in MODULES.items():
        settings = plain | own.get(name.rpartition(".")[2], {})
        build.packed[LAYER + name] = Packed(settings, drawn(build.rng, settings, *shape))
    build.unpack(f"{LAYER}self_attn.o_proj")
    yield build.folder(flags=frozenset({"mixed-bits", "bits-5", "bits-8", "bits-2", "bits-3"}))
    build = _build("version-2")
    build.settings |= {"checkpoint_format": "gptq_v2", "desc_act": True}
    _repack(build)
    yield build.folder(flags=frozenset({"gptq_v2"}))
    build = _build("mixed-widths")
    build.settings["dynamic"] = {
        r"+:.*\.down_proj$": {"bits": 8},
        r"+:.*\.gate_proj$": {"bits": 2, "group_size": 16},
        r"+:.*\.k_proj$": {"sym": True, "desc_act": True},
        r"-:.*\.o_proj$": {},
        r"+:lm_head$": {"bits": 8, "group_size": -1},
    }
    build.settings["lm_head"] = True
    del build.plain["lm_head.weight"]
    shapes = {LAYER + name: shape for name, shape in MODULES.items()} | {"lm_head": (VOCABULARY, 64)}
    for name, shape in shapes.items():
        own = config_of(build.settings, name)
        build.packed[name] = Packed(own, drawn(build.rng, own, *shape))
    build.unpack(f"{LAYER}self_attn.o_proj")
    yield build.folder(flags=frozenset({"bits-2", "bits-8", "mixed-bits", "dynamic", "lm_head"}))
    build = _build("symmetric-without-qzeros")
    build.settings["sym"] = True
    _repack(build)
    for packed in build.packed.values():
        del packed.tensors["qzeros"]
    yield build.folder(flags=frozenset({"no-qzeros"}))
    build = _build("sym-not-said")
    del build.settings["sym"]
    build.packed = {name: _eights(packed) for name, packed in build.packed.items()}
    for packed in build.packed.values():
        packed.config["sym"] = True
    yield build.folder(flags=frozenset({"policy"}))


def _older() -> Iterator[Folder]:
    """Files as AutoGPTQ called them, with the settings beside them."""
    stem = f"gptq_model-4bit-{GROUP_SIZE}g"
    build = _build("file-named-by-auto-gptq")
    settings = {"config.json": build.config | {"quantization_config": build.settings}, SIDECAR: build.settings}
    yield build.folder(shards={f"{stem}.safetensors": build.stored()}, json=settings)
    yield _build("shards-named-by-auto-gptq").split(3, lambda name: len(name) % 3, stem)


def _rules() -> Iterator[Folder]:
    """Rules that change the width alone, and rules that say nothing but that a module is not symmetric."""
    build = _build("dynamic-bits")
    build.settings["dynamic"] = {r".*\.(up|gate)_proj$": {"bits": 8}}
    for name, shape in MODULES.items():
        own = config_of(build.settings, LAYER + name)
        build.packed[LAYER + name] = Packed(own, drawn(build.rng, own, *shape))
    yield build.folder(flags=frozenset({"bits-8", "mixed-bits", "dynamic"}))
    build = _build("dynamic-sym")
    build.settings |= {"sym": True, "dynamic": {r"+:.*\.v_proj$": {"sym": False}}}
    # Eights under the label of version 1: the label is wrong where a module is symmetric, and they are nines elsewhere.
    eights = {name: _eights(packed) for name, packed in build.packed.items()}
    for name, packed in eights.items():
        stored = packed.stored if name.endswith("v_proj") else None
        build.packed[name] = Packed(config_of(build.settings, name), stored or packed.tensors, packed.stored)
    yield build.folder(flags=frozenset({"dynamic", "policy"}))


def _build(id: str) -> Build:
    return Build("gptq", id, config(4, GROUP_SIZE), drawn)


def _repack(build: Build) -> None:
    """Every module once more, by settings that were changed meanwhile."""
    for name, shape in MODULES.items():
        build.pack(LAYER + name, *shape)


def _eights(packed: Packed) -> Packed:
    """Zero point 8: stored as 7 by the rule, and here as 8."""
    shape = packed.tensors["scales"].shape
    sevens, eights = (Array.of(words(np.full(shape, value))) for value in (7, 8))
    return Packed(packed.config, packed.tensors | {"qzeros": sevens}, packed.tensors | {"qzeros": eights})
