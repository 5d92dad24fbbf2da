"""Checkpoint folders of MXFP4: how the common ones are packed, and those that only MXFP4 has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..folder import Folder, Packed
from ..parts import Config
from .packing import blocks, compressed, config, flat, modelopt

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    codes = rng.integers(0, 16, (out, in_features))
    bytes_ = rng.integers(118, 124, (out, in_features // 32)).astype(np.uint8)
    if config["quant_method"] == "mxfp4":
        return blocks(codes, bytes_)
    return flat(codes, bytes_, "weight" if config["quant_method"] == "modelopt" else "weight_packed")


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    yield Build("mxfp4", "compressed-tensors", compressed(), drawn).folder()
    build = Build("mxfp4", "blocks-without-scales", config(4, GROUP_SIZE), drawn)
    name = LAYER + "mlp.down_proj"
    del build.packed[name].tensors["_scales"]
    yield build.folder(code="missing-tensor")
    yield Build("mxfp4", "modelopt", modelopt(), drawn).folder()
    quantization = {
        "quant_algo": "MXFP4",
        "kv_cache_quant_algo": None,
        "group_size": 32,
        "exclude_modules": ["lm_head"],
    }
    sidecar = {"producer": {"name": "modelopt", "version": "0.47.0"}, "quantization": quantization}
    build = Build("mxfp4", "hf_quant_config-only", modelopt(), drawn)
    yield build.folder(json={"config.json": build.config, "hf_quant_config.json": sidecar})
    build = Build("mxfp4", "scales-of-the-cache", modelopt(), drawn)
    for leaf in "kv":
        name = f"{LAYER}self_attn.{leaf}_proj.{leaf}_scale"
        build.stored_besides[name] = Array.of(np.array(0.02, np.float32))
    yield build.folder()
    yield from _mixed()


def _mixed() -> Iterator[Folder]:
    """Beside FP8, by ModelOpt's names and by compressed-tensors' groups."""

    def both(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
        if "MXFP4" in str(config.get("quant_algo")) or config.get("format") == plain["format"]:
            return drawn(rng, config, out, in_features)
        codes = Array("float8_e4m3fn", rng.integers(0, 0x7F, (out, in_features)).astype(np.uint8))
        tensor = config["quant_method"] == "modelopt"
        scales = (rng.integers(1, 1 << 11, () if tensor else (out, 1)) * 2.0**-16).astype(np.float32)
        return {"weight": codes, "weight_scale": Array.of(np.array(scales))}

    plain = compressed()
    build = Build("mxfp4", "mixed-precision", modelopt("MXFP4"), both)
    for name, shape in MODULES.items():
        own = modelopt("MXFP4" if "mlp" in name else "FP8")
        build.packed[LAYER + name] = Packed(own, both(build.rng, own, *shape))
    layers = {name: {"quant_algo": packed.config["quant_algo"]} for name, packed in build.packed.items()}
    build.settings |= {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
    yield build.folder(flags=frozenset({"fp8"}))
    build = Build("mxfp4", "groups-of-two-formats", plain, both)
    weights = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
    other = {"targets": ["re:.*self_attn.*"], "format": "float-quantized", "weights": weights}
    mine = plain["config_groups"]["group_0"] | {"format": plain["format"]}
    eights = plain | {"format": "float-quantized", "config_groups": {"group_1": other}}
    for name, shape in MODULES.items():
        own = plain if "mlp" in name else eights
        build.packed[LAYER + name] = Packed(own, both(build.rng, own, *shape))
    build.settings |= {"format": "mixed-precision", "config_groups": {"group_0": mine, "group_1": other}}
    yield build.folder(flags=frozenset({"fp8"}))
