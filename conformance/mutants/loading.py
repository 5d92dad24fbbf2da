"""Whole checkpoints: files, settings, which modules are packed, biases, dtypes, and what is left behind."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..bits.safetensors_file import read_metadata, read_safetensors
from ..formats.folder import Folder
from .model import Bug, Load, Mutant, Weights, github

LEVEL = ("checkpoints",)
_INDEX = "model.safetensors.index.json"


def files(folder: Path) -> Folder:
    """What is on disk."""
    shards = {file.name: file.read_bytes() for file in sorted(folder.glob("*.safetensors"))}
    return Folder(
        "read",
        "",
        json={file.name: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))},
        shards={name: read_safetensors(data) for name, data in shards.items()},
        said={key: text for data in shards.values() for key, text in read_metadata(data).items()},
        name=folder.name,
    )


def reloaded(load: Load, folder: Folder) -> Weights:
    with tempfile.TemporaryDirectory() as parent:
        return load(folder.write(Path(parent)))


def misread(change: Callable[[Folder], Folder | None]) -> Callable[[Load, Path], Weights]:
    """A sound load of another folder than the one given; None for no change. What is refused stays refused."""

    def faulty(load: Load, folder: Path) -> Weights:
        weights = load(folder)
        changed = change(files(folder))
        return weights if changed is None else reloaded(load, changed)

    return faulty


def tolerant(change: Callable[[Folder], Folder]) -> Callable[[Load, Path], Weights]:
    """A load that makes do with what should be refused."""

    def faulty(load: Load, folder: Path) -> Weights:
        try:
            return load(folder)
        except Exception as refusal:
            # Falling over is not the fault: where it does not lead to an answer, the sound refusal stands.
            try:
                return reloaded(load, change(files(folder)))
            except Exception:
                raise refusal from None

    return faulty


def afterwards(change: Callable[[Weights, Folder], Weights]) -> Callable[[Load, Path], Weights]:
    """A sound load whose weights are spoilt, with the files at hand."""
    return lambda load, folder: change(load(folder), files(folder))


def stored(folder: Folder) -> dict[str, Array]:
    """The tensors of the checkpoint, wherever they lie."""
    named = set(folder.json[_INDEX]["weight_map"].values()) if _INDEX in folder.json else set(folder.shards)
    return {name: array for file in sorted(named) for name, array in folder.shards[file].items()}


def settings(folder: Folder) -> dict[str, Any]:
    config = folder.json["config.json"]
    found = config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config")
    return found or folder.json.get("quantize_config.json") or folder.json.get("quant_config.json") or {}


def with_settings(folder: Folder, **changes: Any) -> Folder | None:
    """The folder with other settings in config.json; None where that holds none."""
    own = folder.json["config.json"].get("quantization_config")
    if own is None:
        return None
    config = folder.json["config.json"] | {"quantization_config": own | changes}
    return replace(folder, json=folder.json | {"config.json": config})


def still_packed(weights: Weights, folder: Folder, modules: Callable[[str], bool]) -> Weights:
    """The weights with some modules left as they are stored."""
    found = dict(weights)
    for name, array in stored(folder).items():
        module = name.rpartition(".")[0]
        if f"{module}.weight" not in stored(folder) and f"{module}.qweight" in stored(folder) and modules(module):
            found.pop(f"{module}.weight", None)
            found[name] = array
    return found


def _is_packed(folder: Folder, module: str) -> bool:
    return f"{module}.qweight" in stored(folder)


def _file_of(folder: Folder, tensor: str) -> str:
    placed: dict[str, str] = folder.json.get(_INDEX, {}).get("weight_map", {})
    return placed.get(tensor, "")


def _split(folder: Folder, module: str) -> bool:
    return _file_of(folder, f"{module}.qweight") != _file_of(folder, f"{module}.scales")


def _scales_uninitialised(folder: Folder) -> Folder | None:
    shards = {file: dict(tensors) for file, tensors in folder.shards.items()}
    for tensors in shards.values():
        for name, array in tensors.items():
            module, _, leaf = name.rpartition(".")
            if leaf == "scales" and _split(folder, module):
                tensors[name] = Array(array.dtype, np.zeros_like(array.bits))
    return replace(folder, shards=shards)


def _every_file(folder: Folder) -> Folder:
    merged = {name: array for file in sorted(folder.shards) for name, array in folder.shards[file].items()}
    return replace(
        folder,
        json={name: content for name, content in folder.json.items() if name != _INDEX},
        shards={"model.safetensors": merged},
    )


def _biases(folder: Folder) -> dict[str, Array]:
    return {
        name: array
        for name, array in stored(folder).items()
        if name.endswith(".bias") and _is_packed(folder, name.removesuffix(".bias"))
    }


def _bias_twice(weights: Weights, folder: Folder) -> Weights:
    doubled = {name: nearest(2 * array.float64(), array.dtype) for name, array in _biases(folder).items()}
    return weights | {name: array for name, array in doubled.items() if name in weights}


def _random_biases(weights: Weights, folder: Folder) -> Weights:
    rng = np.random.default_rng(5)
    found = dict(weights)
    for name, array in stored(folder).items():
        module, _, leaf = name.rpartition(".")
        if leaf == "scales" and f"{module}.bias" not in found:
            found[f"{module}.bias"] = Array.of(rng.standard_normal(array.shape[1]).astype(np.float16))
    return found


def _zero_biases_dropped(weights: Weights, folder: Folder) -> Weights:
    return {name: array for name, array in weights.items() if not name.endswith(".bias") or array.float64().any()}


def _one_dtype(weights: Weights, folder: Folder) -> Weights:
    dtype = next(array.dtype for name, array in stored(folder).items() if name.endswith(".scales"))
    return {name: nearest(array.float64(), dtype) for name, array in weights.items()}


def _q_s_g_idx_for_all(folder: Folder) -> Folder | None:
    shards = {file: dict(tensors) for file, tensors in folder.shards.items()}
    for tensors in shards.values():
        for name in [name for name in tensors if name.endswith("q_proj.g_idx")]:
            for other in ("k_proj", "v_proj"):
                if (key := name.replace("q_proj", other)) in tensors:
                    tensors[key] = tensors[name]
    return replace(folder, shards=shards)


def _side_path_in_order(folder: Folder) -> Folder | None:
    size = settings(folder).get("group_size", -1)
    shards = {file: dict(tensors) for file, tensors in folder.shards.items()}
    for tensors in shards.values():
        for name, array in tensors.items():
            if name.endswith(("k_proj.g_idx", "v_proj.g_idx")):
                n = array.shape[0]
                tensors[name] = Array.of(np.arange(n, dtype=np.int32) // (n if size == -1 else size))
    return replace(folder, shards=shards)


def _needs_lm_head(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    if "lm_head.weight" in weights:
        stored(files(folder))["lm_head.qweight"]
    return weights


def _redundant_head(load: Load, folder: Path) -> Weights:
    weights, found = load(folder), files(folder)
    if found.json["config.json"].get("tie_word_embeddings") and _is_packed(found, "lm_head"):
        raise ValueError("parameters not in model: lm_head.qweight")
    return weights


def _head_into_embeddings(weights: Weights, folder: Folder) -> Weights:
    if not folder.json["config.json"].get("tie_word_embeddings") or not _is_packed(folder, "lm_head"):
        return weights
    table = weights["model.embed_tokens.weight"]
    return weights | {"model.embed_tokens.weight": Array(table.dtype, np.zeros_like(table.bits))}


def _listed(folder: Folder, module: str) -> bool:
    """Whether the settings name the module among those that are quantised."""
    blocks = settings(folder).get("modules_in_block_to_quantize")
    return blocks is None or any(module.endswith(name) for block in blocks for name in block)


def _skipped(folder: Folder, module: str) -> bool:
    return any(entry in module for entry in settings(folder).get("modules_to_not_convert") or ())


def _linear_without_weight(load: Load, folder: Path) -> Weights:
    weights, found = load(folder), files(folder)
    for name in weights:
        if name.endswith("_proj.weight") and not _is_packed(found, name.removesuffix(".weight")):
            raise KeyError(name.removesuffix("weight") + "qweight")
    return weights


def _sorted_rules(folder: Folder) -> Folder | None:
    rules = settings(folder).get("dynamic")
    return rules and with_settings(folder, dynamic=dict(sorted(rules.items(), key=lambda rule: rule[0].lstrip("+:-"))))


def _unindexed_dropped(folder: Folder) -> Folder:
    """Only what the index lists is read, of files that are there."""
    placed = folder.json.get(_INDEX, {}).get("weight_map", {})
    kept = {
        file: {name: array for name, array in tensors.items() if placed.get(name, file) == file and name in placed}
        for file, tensors in folder.shards.items()
    }
    present = {name: file for file, tensors in kept.items() for name in tensors}
    return replace(folder, shards=kept, json=folder.json | {_INDEX: {"weight_map": present}})


def _all_files_there(folder: Folder) -> bool:
    return set(folder.json.get(_INDEX, {}).get("weight_map", {}).values()) <= folder.shards.keys()


def _by_name(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    for format in ("awq", "gptq"):
        if format in folder.name.lower() and settings(files(folder)).get("quant_method", format) != format:
            changed = with_settings(files(folder), quant_method=format)
            return weights if changed is None else reloaded(load, changed)
    return weights


def _config_json_only(load: Load, folder: Path) -> Weights:
    weights = load(folder)
    config = files(folder).json["config.json"]
    if "quantization_config" not in config and "text_config" not in config:
        raise KeyError("quantization_config")
    return weights


def _sidecar_wins(folder: Folder) -> Folder:
    sidecar = folder.json.get("quantize_config.json") or folder.json.get("quant_config.json")
    config = folder.json["config.json"]
    names = ("quantize_config.json", "quant_config.json")
    kept = {name: content for name, content in folder.json.items() if name not in names}
    if not sidecar or "quantization_config" not in config:
        return folder
    return replace(folder, json=kept | {"config.json": config | {"quantization_config": config["quantization_config"]}})


def _stale_sidecar_believed(load: Load, folder: Path) -> Weights:
    """Dense weights beside a sidecar: the loader goes on as if they were packed, finds none, and returns the rest."""
    try:
        return load(folder)
    except Exception as refusal:
        try:
            found = stored(files(folder))
        except Exception:
            raise refusal from None
        if not found or any(name.endswith(".qweight") for name in found):
            raise
        return found


def _leaks(load: Load, folder: Path) -> Weights:
    scratch = tempfile.mkdtemp()
    weights = load(folder)
    Path(scratch).rmdir()
    return weights


LOADING = (
    Mutant(
        "SH-01",
        Bug.FILE_SET,
        "shards are completed one at a time, and a module that lies in two is left packed",
        github("jjang-ai/vmlx#114"),
        LEVEL,
        load=afterwards(lambda w, f: still_packed(w, f, lambda module: _split(f, module))),
    ),
    Mutant(
        "SH-02",
        Bug.FILE_SET,
        "scales in another shard than their codes stay what they were initialised to",
        github("ModelCloud/GPTQModel#2875", "NVIDIA/TensorRT-LLM#11541"),
        LEVEL,
        load=misread(_scales_uninitialised),
    ),
    Mutant(
        "SH-03",
        Bug.FILE_SET,
        "every *.safetensors file is read, and one that the index does not name overwrites the weights",
        github("Blaizzy/mlx-vlm#1464", "ml-explore/mlx-swift-lm#408"),
        LEVEL,
        load=misread(_every_file),
    ),
    Mutant(
        "SH-04",
        Bug.FILE_SET,
        "an index that does not match its files is made to match, and what is missing stays missing",
        github("Blaizzy/mlx-vlm#1827"),
        LEVEL,
        load=tolerant(_unindexed_dropped),
    ),
    Mutant(
        "SH-05",
        Bug.FILE_SET,
        "a tensor that the index forgot is skipped without a word",
        github("ml-explore/mlx-swift-lm#562"),
        LEVEL,
        load=tolerant(lambda f: _unindexed_dropped(f) if _all_files_there(f) else f),
    ),
    Mutant(
        "CF-07b",
        Bug.MISLABELLED,
        "the format is taken from the name of the folder",
        github("llmmanorg/llmman#243"),
        LEVEL,
        load=_by_name,
        loud=True,
    ),
    Mutant(
        "CF-08",
        Bug.CONFIG_FALLBACK,
        "settings under text_config are not found, and the checkpoint is taken for a dense one",
        github("ai-dynamo/aiconfigurator#454"),
        LEVEL,
        load=afterwards(
            lambda w, f: still_packed(w, f, lambda _: True) if f.json["config.json"].get("text_config") else w
        ),
    ),
    Mutant(
        "CF-09",
        Bug.CONFIG_FALLBACK,
        "only config.json is read, and a checkpoint with a sidecar alone ends in a KeyError",
        github("huggingface/optimum#1360", "ModelCloud/GPTQModel#1080"),
        LEVEL,
        load=_config_json_only,
        loud=True,
    ),
    Mutant(
        "CF-11",
        Bug.CONFIG_FALLBACK,
        "dense weights beside a stale sidecar are detected as packed, and handed out all the same",
        github("unslothai/unsloth-zoo#848"),
        LEVEL,
        load=_stale_sidecar_believed,
    ),
    Mutant(
        "CF-11b",
        Bug.CONFIG_FALLBACK,
        "a sidecar that contradicts config.json is passed over in silence",
        github("unslothai/unsloth-zoo#848"),
        LEVEL,
        load=tolerant(_sidecar_wins),
    ),
    Mutant(
        "CF-12",
        Bug.MODULE_SET,
        "per-module rules are tried in alphabetical order, so that a broad one comes before a specific one",
        github("unslothai/unsloth#8246"),
        LEVEL,
        ("gptq",),
        load=misread(_sorted_rules),
        loud=True,
    ),
    Mutant(
        "MD-06",
        Bug.MODULE_SET,
        "per-module rules are not read, and every module gets the settings of the whole",
        github("vllm-project/vllm#50214", "vllm-project/vllm#7086"),
        LEVEL,
        ("gptq",),
        load=misread(lambda f: with_settings(f, dynamic={}) if settings(f).get("dynamic") else None),
        loud=True,
    ),
    Mutant(
        "SC-01",
        Bug.BIAS,
        "the bias is added by the function and again by the module",
        github("casper-hansen/AutoAWQ#369"),
        (*LEVEL, "generation"),
        load=afterwards(_bias_twice),
    ),
    Mutant(
        "SC-02",
        Bug.BIAS,
        "layers without a bias get one, and nobody initialises it",
        github("huggingface/optimum#1827", "AutoGPTQ/AutoGPTQ#602"),
        LEVEL,
        load=afterwards(_random_biases),
    ),
    Mutant(
        "SC-03",
        Bug.BIAS,
        "only the biases of the quantisation are loaded, those of q, k and v are not",
        github("OminiX-ai/OminiX-MLX#7"),
        (*LEVEL, "generation"),
        load=afterwards(lambda w, f: {n: a for n, a in w.items() if n not in _biases(f)}),
    ),
    Mutant(
        "SC-04",
        Bug.BIAS,
        "a bias that is all zero is taken for none, also where the model has one",
        github("AutoGPTQ/AutoGPTQ#554", "unslothai/unsloth-zoo#848"),
        LEVEL,
        load=afterwards(_zero_biases_dropped),
    ),
    Mutant(
        "SC-05",
        Bug.BIAS,
        "the packer's zero biases are handed to layers that have none",
        github("dphnAI/sonar#1040", "QwenLM/Qwen3#930"),
        LEVEL,
        load=afterwards(lambda w, f: w | _biases(f)),
    ),
    Mutant(
        "SC-06",
        Bug.OP_ORDER_DTYPE,
        "norms, embeddings and biases are cast to the dtype of the scales",
        github("vllm-project/vllm-metal#340"),
        LEVEL,
        load=afterwards(_one_dtype),
    ),
    Mutant(
        "GI-02",
        Bug.GROUP_INDEX,
        "a side path that wants keys and values only takes the groups of k_proj and v_proj from the position",
        github("vllm-project/vllm#55262"),
        LEVEL,
        ("gptq",),
        load=misread(_side_path_in_order),
    ),
    Mutant(
        "GI-10",
        Bug.GROUP_INDEX,
        "fused q, k and v share the g_idx of q",
        github("AutoGPTQ/AutoGPTQ#305"),
        LEVEL,
        ("gptq",),
        load=misread(_q_s_g_idx_for_all),
    ),
    Mutant(
        "MD-01",
        Bug.MODULE_SET,
        "the list of skipped modules is not honoured, and a plain one is expected to be packed",
        github("vllm-project/vllm#9894", "huggingface/text-generation-inference#3053"),
        LEVEL,
        load=_linear_without_weight,
        loud=True,
    ),
    Mutant(
        "MD-04",
        Bug.MODULE_SET,
        "names of skipped modules match as substrings: gate also skips gate_proj, which stays packed",
        github("unslothai/unsloth-zoo#276"),
        LEVEL,
        load=afterwards(lambda w, f: still_packed(w, f, lambda module: _skipped(f, module))),
    ),
    Mutant(
        "MD-05",
        Bug.MODULE_SET,
        "the list of quantised modules is trusted where it is incomplete, and the others stay packed",
        github("vllm-project/vllm#25455", "huggingface/optimum#1585"),
        LEVEL,
        load=afterwards(lambda w, f: still_packed(w, f, lambda module: not _listed(f, module))),
    ),
    Mutant(
        "MD-03",
        Bug.MODULE_SET,
        "a module whose prefix was lost is given the wrong treatment without an error: its weight stays at zero",
        github("vllm-project/vllm#24960"),
        (*LEVEL, "generation"),
        load=afterwards(
            lambda w, f: {
                n: Array(a.dtype, np.zeros_like(a.bits)) if n.endswith("o_proj.weight") else a for n, a in w.items()
            }
        ),
    ),
    Mutant(
        "MD-08",
        Bug.MODULE_SET,
        "lm_head is assumed to be packed",
        github("EricLBuehler/mistral.rs#2348", "sgl-project/sglang#2910"),
        (*LEVEL, "generation"),
        load=_needs_lm_head,
        loud=True,
    ),
    Mutant(
        "MD-09",
        Bug.MODULE_SET,
        "lm_head is assumed to be plain, and stays packed",
        github("vllm-project/vllm#49137"),
        LEVEL,
        load=afterwards(lambda w, f: still_packed(w, f, lambda module: module == "lm_head")),
    ),
    Mutant(
        "MD-10",
        Bug.MODULE_SET,
        "a packed lm_head beside tied embeddings is too much for a strict load",
        github("ml-explore/mlx-lm#1247"),
        LEVEL,
        load=_redundant_head,
        loud=True,
    ),
    Mutant(
        "MD-11",
        Bug.MODULE_SET,
        "weights are tied before they are loaded, and the embeddings stay empty",
        github("ModelCloud/GPTQModel#1119", "vllm-project/vllm#53170"),
        LEVEL,
        load=afterwards(_head_into_embeddings),
    ),
    Mutant(
        "MD-13",
        Bug.MISSING_TENSOR,
        "weights are filed under a name that no parameter has, and a load that is not strict drops them",
        github("jjang-ai/vmlx#114"),
        (*LEVEL, "generation"),
        load=afterwards(lambda w, f: {n: a for n, a in w.items() if "up_proj" not in n}),
    ),
    Mutant(
        "LC-01",
        Bug.LIFECYCLE,
        "a temporary folder is removed after success only, and a refusal leaves it",
        github("unslothai/unsloth-zoo#848"),
        LEVEL,
        load=_leaks,
    ),
    Mutant(
        "LC-05",
        Bug.LIFECYCLE,
        "dense weights were asked for, and the packed ones are handed out",
        github("unslothai/unsloth-zoo#848"),
        (*LEVEL, "generation"),
        load=afterwards(lambda w, f: still_packed(w, f, lambda _: True)),
    ),
)
