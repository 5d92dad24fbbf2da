"""Folders as the producers of real configs would have written them: the config as it was read, small tensors of the
suite's own packers under the architecture's names.

Nothing here asks the core: which modules are packed comes from the config's own lists, what a packed module holds from
``conformance/formats``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from conformance.bits.array import Array
from conformance.bits.safetensors_file import read_safetensors, write_safetensors
from conformance.formats.dialects import compressed_tensors
from conformance.formats.module import full_name
from conformance.formats.registry import FORMATS

FACTS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "in_the_wild.json").read_text())["configs"]

# Of each kind of module one, as small as the widest groups and blocks of the configs allow. The long lists of the facts
# are kept for these layers: the first, and one far enough in to be like the rest.
_WIDTH, _LAYERS = 128, (0, 11)
_ATTENTION = tuple(f"self_attn.{leaf}_proj" for leaf in "qkvo")
_LATENT = tuple(f"self_attn.{leaf}" for leaf in ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"))
_INDEXER = tuple(f"self_attn.indexer.{leaf}" for leaf in ("wk", "wq_b"))
_MLP = tuple(f"mlp.{leaf}_proj" for leaf in ("gate", "up", "down"))
_EXPERTS = tuple(f"mlp.experts.0.{leaf}_proj" for leaf in ("gate", "up", "down"))
_SHARED = tuple(f"mlp.shared_experts.{leaf}_proj" for leaf in ("gate", "up", "down"))
_MINIMAX = tuple(f"block_sparse_moe.experts.0.{leaf}" for leaf in ("w1", "w2", "w3"))
_LINEAR = tuple(f"linear_attn.{leaf}" for leaf in ("in_proj_qkv", "in_proj_z", "out_proj"))
_V4 = tuple(f"attn.{leaf}" for leaf in ("wkv", "wo_a", "wo_b", "wq_a", "wq_b"))

_WRAPPED = "model.language_model.layers"
# By model_type: where the layers are, and the modules of a layer that a producer may pack.
_NAMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "deepseek_v3": ("model.layers", _LATENT + _MLP + _EXPERTS + _SHARED),
    "kimi_k2": ("model.layers", _LATENT + _MLP + _EXPERTS + _SHARED),
    "deepseek_v32": ("model.layers", _LATENT + _INDEXER + _MLP + _EXPERTS + _SHARED),
    "glm_moe_dsa": ("model.layers", _LATENT + _INDEXER + _MLP + _EXPERTS + _SHARED),
    "kimi_k25": ("language_model.model.layers", _LATENT + _MLP + _EXPERTS + _SHARED),
    "kimi_k3": ("language_model.model.layers", _LATENT + _MLP + _MINIMAX),
    "deepseek_v4": ("layers", _V4 + tuple(f"ffn.experts.0.{leaf}" for leaf in ("w1", "w2", "w3"))),
    "deepseek_ref": ("layers", _V4 + tuple(f"ffn.experts.0.{leaf}" for leaf in ("w1", "w2", "w3"))),
    "minimax_m2": ("model.layers", _ATTENTION + _MINIMAX),
    "minimax_m3_vl": ("language_model.model.layers", _ATTENTION + _MINIMAX),
    "qwen2_moe": ("model.layers", _ATTENTION + _EXPERTS + tuple(name.replace("experts", "expert") for name in _SHARED)),
    "qwen3_moe": ("model.layers", _ATTENTION + _EXPERTS),
    "mimo_v2_flash": ("model.layers", _ATTENTION + _EXPERTS),
    "step3p7": ("model.layers", _ATTENTION + _SHARED),
    "nemotron_h": (
        "backbone.layers",
        ("mixer.in_proj", "mixer.out_proj", "mixer.experts.0.up_proj", "mixer.experts.0.down_proj"),
    ),
    "qwen3_5": (_WRAPPED, _ATTENTION + _LINEAR + _MLP),
    "qwen3_5_text": ("model.layers", _ATTENTION + _LINEAR + _MLP),
    "qwen3_5_moe": (_WRAPPED, _ATTENTION + _LINEAR + _EXPERTS),
    "minicpmv4_6": (_WRAPPED, _ATTENTION + _LINEAR + _MLP),
    "gemma4": (_WRAPPED, _ATTENTION + _MLP),
    "glm_ocr": (_WRAPPED, _ATTENTION + _MLP),
    "qwen2_5_omni": ("thinker.model.layers", _ATTENTION + _MLP),
    "locateanything": ("language_model.model.layers", _ATTENTION + _MLP),
    "gpt_bigcode": ("transformer.h", ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")),
    "qwen": ("transformer.h", ("attn.c_attn", "attn.c_proj", "mlp.w1", "mlp.w2", "mlp.c_proj")),
    "phi": ("model.layers", tuple(f"self_attn.{leaf}" for leaf in ("q_proj", "k_proj", "v_proj", "dense", "fc1"))),
    "exaone": ("transformer.h", ("attn.attention.q_proj", "attn.attention.out_proj", "mlp.c_fc_0")),
    "lfm2": ("model.layers", ("conv.in_proj", "conv.out_proj", "feed_forward.w1", "feed_forward.w2")),
    "gpt_oss": ("model.layers", ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")),
}
_PLAIN = ("model.layers", _ATTENTION + _MLP)
# Left dense by every producer that was read, with or without a rule: routers, and rows too few for a word of codes.
_DENSE = ("mlp.gate", "linear_attn.in_proj_a", "linear_attn.in_proj_b")
_LISTS = ("ignore", "exclude_modules", "modules_to_not_convert", "llm_int8_skip_modules")
_LEAST = {"deepseek_v4", "deepseek_ref"}
# AutoRound stores its small floats as compressed-tensors does: 0.16.1, ``export_to_autoround/qlinear_fp.py``.
_COMPRESSED = {
    kind: compressed_tensors.grouped(form, {"num_bits": 4, "type": "float", "strategy": strategy, "group_size": size})
    for kind, form, strategy, size in (
        ("mx_fp", "mxfp4-pack-quantized", "group", 32),
        ("nv_fp", "nvfp4-pack-quantized", "tensor_group", 16),
    )
}


def packed_by(fact: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a fact as a producer's own reader would see them: one object, ``config.json`` first."""
    found: dict[str, Any] = {}
    for place, said in reversed(fact["settings"].items()):
        inner = said.get("quantization")
        found |= {"quant_method": "modelopt"} | inner if place == "hf_quant_config.json" and inner else said
    if old := fact.get("beside", {}).get("aqlm"):
        found |= {"quant_method": "aqlm"} | old
    if "quant_method" not in found and "desc_act" in found:
        found["quant_method"] = "gptq"
    return found


def modules(fact: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Names of linear modules, and whether the producer packed each."""
    layers, names = _NAMES.get(str(fact["model_type"]), _PLAIN)
    if fact["model_type"] == "gemma4" and fact.get("experts"):
        names += tuple(f"experts.0.{leaf}_proj" for leaf in ("gate", "up", "down"))
    settings = packed_by(fact)
    for number in _LAYERS:
        for name in (*names, *_DENSE):
            module = f"{layers}.{number}.{name}"
            yield module, name not in _DENSE and not left_out(module, settings)


def left_out(module: str, settings: Mapping[str, Any]) -> bool:
    """Whether the lists of a config keep a module dense: ModelOpt's, compressed-tensors', AutoRound's, GPTQModel's."""
    layers = settings.get("quantized_layers")
    if layers:
        # Beside a model that was FP8 before, the lists say what ModelOpt left alone.
        within = any(module == name or module.startswith(f"{name}.") for name in layers)
        return not within and settings["quant_method"] == "modelopt"
    rules = settings.get("extra_config") or {}
    if any(rule.get("bits", 0) >= 16 and (name == module or re.search(name, module)) for name, rule in rules.items()):
        return True
    excluded = (rule[2:] for rule in settings.get("dynamic") or {} if rule.startswith("-:"))
    if any(re.match(rule, module) for rule in excluded):
        return True
    said = [name for key in _LISTS for name in settings.get(key) or ()]
    return any(_names(name, module) for name in said)


def _names(said: str, module: str) -> bool:
    if said.startswith("re:"):
        return re.match(said[3:], module) is not None
    whole = f".{module}."
    return fnmatch(module, said) or fnmatch(module, f"{said}.*") or f".{said}." in whole


def write(fact: Mapping[str, Any], folder: Path, *, biased: bool = False, more: Iterable[str] = ()) -> list[str]:
    """Write the folder, with ``more`` parameters of one number each; returns the modules that are packed in it."""
    folder.mkdir()
    known = {key: fact[key] for key in ("model_type",) if fact[key]}
    config: dict[str, Any] = known | {"num_hidden_layers": max(_LAYERS) + 1} | fact.get("beside", {})
    config |= {"architectures": [fact["architecture"]]} if fact["architecture"] else {}
    if fact.get("text"):
        config["text_config"] = {"model_type": fact["text"], "num_hidden_layers": max(_LAYERS) + 1}
    for place, said in fact["settings"].items():
        file, _, key = place.partition(": ")
        if not key:
            (folder / file).write_text(json.dumps(said))
            continue
        *outer, last = key.split(".")
        part = config
        for name in outer:
            part = part.setdefault(name, {})
        part[last] = said
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"model.embed_tokens.weight": _floats(32, _WIDTH), "lm_head.weight": _floats(32, _WIDTH)}
    packed = []
    for module, is_packed in modules(fact):
        found = _drawn(fact, module) if is_packed else None
        if found is None:
            tensors[f"{module}.weight"] = _floats(16, _WIDTH)
            continue
        packed.append(module)
        tensors |= {full_name(module, leaf): array for leaf, array in found.items()}
        if module.endswith("k_proj") and packed_by(fact).get("kv_cache_quant_algo") == "FP8":
            tensors[f"{module}.k_scale"] = Array.of(np.array(1, np.float32))
        if biased:
            tensors[f"{module}.bias"] = _floats(1, _WIDTH, flat=True)
    tensors |= {name: _floats(1, 1, flat=True) for name in more}
    (folder / "model.safetensors").write_bytes(write_safetensors(tensors, {"format": "pt"}))
    return packed


def _drawn(fact: Mapping[str, Any], module: str) -> dict[str, Array] | None:
    """Tensors of one packed module by the suite's packer of whatever format the settings mean; None for none of it."""
    settings, rng = packed_by(fact), np.random.default_rng(1)
    layer = next(
        (rule for name, rule in (settings.get("quantized_layers") or {}).items() if _names(name, module)), None
    )
    if layer is not None:
        settings = {"quant_method": "modelopt"} | layer
    elif fact["model_type"] in _LEAST:
        return _v4(module, "experts" in module and "beside" in fact)
    if settings.get("quant_algo") == "MXFP8":
        codes = Array("float8_e4m3fn", rng.integers(0, 120, (_WIDTH, _WIDTH)).astype(np.uint8))
        return {"weight": codes, "weight_scale": Array.of(np.full((_WIDTH, _WIDTH // 32), 120, np.uint8))}
    if settings.get("packing_format") == "auto_round:llm_compressor":
        settings = _COMPRESSED[settings["data_type"]]
    own = None
    for format in FORMATS.values():
        if format.names(settings):
            own = format.config_of(settings, module)
            break
    chosen = next((format for format in FORMATS.values() if own and format.names(own)), None)
    return None if chosen is None else chosen.drawn(rng, own, _WIDTH, _WIDTH)


def _v4(module: str, halves: bool) -> dict[str, Array]:
    """DeepSeek V4's own layout, as the tensors of its release are listed: scales of E8M0 called ``scale``."""
    rng = np.random.default_rng(1)
    if halves:
        codes = Array.of(rng.integers(-128, 128, (_WIDTH, _WIDTH // 2)).astype(np.int8))
        return {"weight": codes, "scale": Array("float8_e8m0fnu", np.full((_WIDTH, _WIDTH // 32), 120, np.uint8))}
    codes = Array("float8_e4m3fn", rng.integers(0, 120, (_WIDTH, _WIDTH)).astype(np.uint8))
    return {"weight": codes, "scale": Array("float8_e8m0fnu", np.full((_WIDTH // 128,) * 2, 120, np.uint8))}


def split(folder: Path, names: tuple[str, ...]) -> None:
    """Deal the tensors of the folder out to files of these names, and write the index that lists them together."""
    whole = folder / "model.safetensors"
    tensors = read_safetensors(whole.read_bytes())
    whole.unlink()
    places = {tensor: names[number % len(names)] for number, tensor in enumerate(tensors)}
    for name in names:
        part = {tensor: array for tensor, array in tensors.items() if places[tensor] == name}
        (folder / name).write_bytes(write_safetensors(part, {"format": "pt"}))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


@cache
def _floats(out: int, inputs: int, *, flat: bool = False) -> Array:
    return Array.of(np.zeros((inputs,) if flat else (out, inputs), np.float16))
