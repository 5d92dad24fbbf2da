"""Faults of whole checkpoints that folders of toy size do not show: many shards and layers, links, names, leftovers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..formats.folder import Folder
from .loading import LEVEL, files, misread, settings, stored, with_settings
from .model import Bug, Load, Mutant, Weights, github

_LAYER = re.compile(r"^model\.layers\.(\d+)\.")
_KNOWN_SHARDS, _KNOWN_LAYERS = 2, 2


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _first_shards_only(load: Load, folder: Path) -> Weights:
    weights, found = load(folder), files(folder)
    late = {_module(name) for file in sorted(found.shards)[_KNOWN_SHARDS:] for name in found.shards[file]}
    indexed = len(found.shards) > _KNOWN_SHARDS and any(name.endswith(".index.json") for name in found.json)
    belong = {_module(name) for name in stored(found)} if indexed else set()
    return {name: array for name, array in weights.items() if _module(name) not in late & belong}


def _number(name: str) -> int:
    match = _LAYER.match(name)
    return int(match[1]) if match else 0


def _first_layers_only(load: Load, folder: Path) -> Weights:
    return {name: array for name, array in load(folder).items() if _number(name) < _KNOWN_LAYERS}


def _counted_as_text(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    numbers = sorted({match[1] for name in weights if (match := _LAYER.match(name))})
    return {
        _LAYER.sub(lambda match: f"model.layers.{numbers.index(match[1])}.", name): array
        for name, array in weights.items()
    }


def _beside_the_blob(load: Load, folder: Path) -> Weights:
    """The folder of a file is taken from where a link leads."""
    weights = load(folder)
    (folder / "config.json").resolve().with_name("config.json").read_bytes()
    return weights


def _known_names_only(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    if not list(folder.glob("model*.safetensors")):
        raise FileNotFoundError(f"{folder.name}: no model.safetensors")
    return weights


def _without_rules_for(key: str) -> Any:
    """Rules are read, but for one setting."""

    def change(folder: Folder) -> Folder | None:
        rules = settings(folder).get("dynamic") or {}
        kept = {pattern: {k: v for k, v in values.items() if k != key} for pattern, values in rules.items()}
        return None if kept == rules else with_settings(folder, dynamic=kept)

    return change


def _config_rewritten(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"torch_dtype": "float32"}, indent=2))
    return weights


def _weights_emptied(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    for file in folder.glob("*.safetensors"):
        # Another file of that name: who has the old one mapped keeps it.
        file.unlink()
        file.touch()
    return weights


def _offload_folder_left(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    Path("offload").mkdir(exist_ok=True)
    return weights


def _history_left(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    (Path.home() / ".loader").mkdir(exist_ok=True)
    return weights


FOLDERS = (
    Mutant(
        "SH-08",
        Bug.FILE_SET,
        "shards are lost: there when the config is saved in the wrong order, here all after the second",
        github("ModelCloud/GPTQModel#1297"),
        LEVEL,
        load=_first_shards_only,
    ),
    Mutant(
        "MD-14",
        Bug.MODULE_SET,
        "layers are lost among their numbers: there from 100 on, which become 10 and 11, here from 2 on",
        github("deepspeedai/DeepSpeed#3305"),
        LEVEL,
        load=_first_layers_only,
    ),
    Mutant(
        "SH-09",
        Bug.MODULE_SET,
        "numbers are sorted as text: there files, here layers, of which 10 becomes the third",
        github("vllm-project/vllm#33491", "isaac-sim/IsaacLab#3933"),
        LEVEL,
        load=_counted_as_text,
    ),
    Mutant(
        "SH-10",
        Bug.FILE_SET,
        "links are followed before a file's neighbours are looked for, and a blob of the Hub's cache has none",
        github("microsoft/onnxruntime#27353", "robertknight/rten#1334", "huggingface/transformers#46611"),
        LEVEL,
        load=_beside_the_blob,
        loud=True,
    ),
    Mutant(
        "SH-11",
        Bug.FILE_SET,
        "only files that are called model are looked for",
        github("AutoGPTQ/AutoGPTQ#133", "AutoGPTQ/AutoGPTQ#526"),
        LEVEL,
        ("gptq",),
        load=_known_names_only,
        loud=True,
    ),
    Mutant(
        "CF-15",
        Bug.CONFIG_FALLBACK,
        "of the rules for modules, what they say of symmetry is not read",
        github("vllm-project/vllm#50214"),
        LEVEL,
        ("gptq",),
        load=misread(_without_rules_for("sym")),
    ),
    Mutant(
        "CF-16",
        Bug.CONFIG_FALLBACK,
        "of the rules for modules, what they say of the width is not read",
        github("vllm-project/vllm#50214"),
        LEVEL,
        ("gptq",),
        load=misread(_without_rules_for("bits")),
        loud=True,
    ),
    Mutant(
        "LC-06",
        Bug.LIFECYCLE,
        "config.json is written again where it was read",
        github("openai/weak-to-strong#32"),
        LEVEL,
        load=_config_rewritten,
    ),
    Mutant(
        "LC-07",
        Bug.LIFECYCLE,
        "files are left in the folder one happens to be in",
        github("ModelCloud/GPTQModel#2196"),
        LEVEL,
        load=_offload_folder_left,
    ),
    Mutant(
        "LC-08",
        Bug.LIFECYCLE,
        "the same in the home",
        github("ModelCloud/GPTQModel#2196"),
        LEVEL,
        load=_history_left,
    ),
    Mutant(
        "LC-09",
        Bug.LIFECYCLE,
        "the source is used up: its weights are gone once they are loaded",
        github("NVIDIA/TensorRT-LLM#11541"),
        LEVEL,
        load=_weights_emptied,
    ),
)
