"""Checkpoint folders of FP8: how the common ones are packed, and those that only FP8 has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..dialects import compressed_tensors as dialect
from ..dialects import deepseek
from ..folder import Folder, Packed
from ..parts import Config
from .grid import LEGAL
from .packing import FBGEMM, block_of, compressed, config, fbgemm, grid, is_compressed, modelopt

# ModelOpt's hf_quant_config.json has a form of its own; see the folders below.
SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    channels = config["quant_method"] == FBGEMM
    channels |= is_compressed(config) and dialect.arguments(config).strategy == "channel"
    block = block_of(config) or (1 if channels else out, in_features)
    scales = (rng.integers(1, 1 << 11, grid(block, out, in_features)) * 2.0**-16).astype(np.float32)
    weight = Array("float8_e4m3fn", LEGAL[rng.integers(0, len(LEGAL), (out, in_features))].astype(np.uint8))
    if is_compressed(config) or config["quant_method"] == FBGEMM:
        return {"weight": weight, "weight_scale": Array.of(scales)}
    if config["quant_method"] == "modelopt":
        return {"weight": weight, "weight_scale": Array.of(np.array(scales[0, 0]))}
    return {"weight": weight, "weight_scale_inv": Array.of(scales)}


def small(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    """Under DeepSeek V4's names."""
    bytes_ = rng.integers(112, 124, grid(block_of(config) or (out, in_features), out, in_features)).astype(np.uint8)
    return {"weight": drawn(rng, config, out, in_features)["weight"], "scale": Array("float8_e8m0fnu", bytes_)}


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    # transformers leaves a layer dense that its blocks do not divide, and stores a scale beside it that means nothing.
    build = Build("fp8", "scale-beside-a-dense-weight", config(8, GROUP_SIZE), drawn)
    dense = LAYER + "mlp.down_proj"
    build.unpack(dense)
    build.stored_besides[f"{dense}.weight_scale_inv"] = Array.of(np.full((2, 3), np.nan, np.float32))
    yield build.folder()
    build = Build("fp8", "float8-without-a-scale", config(8, GROUP_SIZE), drawn)
    shape = build.plain["lm_head.weight"].shape
    build.plain["lm_head.weight"] = Array("float8_e4m3fn", np.full(shape, 0x38, np.uint8))
    yield build.folder(code="missing-tensor")
    quantization = {"quant_algo": "FP8", "kv_cache_quant_algo": None, "exclude_modules": ["lm_head"]}
    sidecar = {"producer": {"name": "modelopt", "version": "0.47.0"}, "quantization": quantization}
    build = Build("fp8", "hf_quant_config-only", modelopt("FP8"), drawn)
    yield build.folder(json={"config.json": build.config, "hf_quant_config.json": sidecar})
    build = Build("fp8", "hf_quant_config-that-agrees", modelopt("FP8"), drawn)
    settings = {"quantization_config": build.settings | {"ignore": ["lm_head"]}}
    yield build.folder(json={"config.json": build.config | settings, "hf_quant_config.json": sidecar})
    build = Build("fp8", "hf_quant_config-that-disagrees", modelopt("FP8"), drawn)
    other = sidecar | {"quantization": quantization | {"quant_algo": "MXFP8"}}
    settings = {"quantization_config": build.settings}
    files = {"config.json": build.config | settings, "hf_quant_config.json": other}
    yield build.folder(json=files, code="config-contradiction")
    build = Build("fp8", "mixed-precision", modelopt("FP8"), drawn)
    layers = {name: {"quant_algo": "FP8"} for name in build.packed}
    build.settings |= {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
    yield build.folder()
    build = Build("fp8", "scales-of-the-cache", modelopt("FP8"), drawn)
    for leaf in "kv":
        name = f"{LAYER}self_attn.{leaf}_proj.{leaf}_scale"
        build.stored_besides[name] = Array.of(np.array(0.02, np.float32))
    yield build.folder()
    yield from _compressed()
    build = Build("fp8", "fbgemm", fbgemm(), drawn)
    build.unpack(dense)
    build.settings |= {"modules_to_not_convert": ["lm_head", "mlp.down_proj"]}
    yield build.folder()
    build = Build("fp8", "deepseek", deepseek.config((32, 32)), small)
    build.unpack(dense)
    yield build.folder()
    build = Build("fp8", "fbgemm-beside-other-scales", fbgemm(), drawn)
    settings = {"quantization_config": build.settings}
    other = {"config.json": build.config | settings, "quantize_config.json": config(8, GROUP_SIZE)}
    yield build.folder(json=other, code="config-contradiction")


def _compressed() -> Iterator[Folder]:
    """What llmcompressor writes: dynamic scales of activations, and groups of modules that differ."""
    build = Build("fp8", "dynamic-activations", compressed("float-quantized", "channel"), drawn)
    dynamic = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "token", "dynamic": True}
    build.settings["config_groups"]["group_0"]["input_activations"] = dynamic
    yield build.folder()
    tall = compressed("float-quantized", "block", block_structure=[16, 32])
    build = Build("fp8", "blocks-and-channels", compressed("float-quantized", "channel"), drawn)
    group = tall["config_groups"]["group_0"] | {"targets": ["re:.*mlp.*"]}
    build.settings["config_groups"] |= {"group_1": group}
    for name, shape in MODULES.items():
        own = tall if "mlp" in name else compressed("float-quantized", "channel")
        build.packed[LAYER + name] = Packed(own, drawn(build.rng, own, *shape))
    yield build.folder()
