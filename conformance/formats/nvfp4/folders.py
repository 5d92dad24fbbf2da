"""Checkpoint folders of NVFP4: how the common ones are packed, and those that only NVFP4 has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..dialects.modelopt import mixed
from ..folder import Folder, Packed
from ..parts import Config
from .grid import USUAL
from .packing import GROUP, config, is_compressed, modelopt, named

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    codes = rng.integers(0, 16, (out, in_features))
    bytes_ = USUAL[rng.integers(0x28, 0x60, (out, in_features // GROUP))]
    number = np.array(0.0004 + rng.random() * 1e-4, np.float32)
    return named(config, codes, bytes_, (1 / number).reshape(1) if is_compressed(config) else number)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"ignore": ["lm_head", *(f"re:.*{name}" for name in left_out)]}


def folders() -> Iterator[Folder]:
    yield Build("nvfp4", "modelopt", modelopt(), drawn).folder()
    quantization = {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "group_size": 16,
        "exclude_modules": ["lm_head"],
    }
    sidecar = {"producer": {"name": "modelopt", "version": "0.47.0"}, "quantization": quantization}
    build = Build("nvfp4", "hf_quant_config-only", modelopt(), drawn)
    yield build.folder(json={"config.json": build.config, "hf_quant_config.json": sidecar})
    build = Build("nvfp4", "scales-of-the-cache", modelopt(), drawn)
    for leaf in "kv":
        name = f"{LAYER}self_attn.{leaf}_proj.{leaf}_scale"
        build.stored_besides[name] = Array.of(np.array(0.02, np.float32))
    yield build.folder()
    build = Build("nvfp4", "no-scale-of-the-matrix", config(4, GROUP_SIZE), drawn)
    del build.packed[LAYER + "mlp.down_proj"].tensors["weight_global_scale"]
    yield build.folder(code="missing-tensor")
    yield from _beside_fp8()


def _beside_fp8() -> Iterator[Folder]:
    """MLP modules are NVFP4 by their names, the others FP8: ModelOpt's, or of another config.json."""
    blocks = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [32, 32]}

    def fp8(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
        codes = Array("float8_e4m3fn", rng.integers(0, 0x7F, (out, in_features)).astype(np.uint8))
        if config["quant_method"] == "modelopt":
            return {"weight": codes, "weight_scale": Array.of(np.array(0.0123, np.float32))}
        shape = -(-out // 32), -(-in_features // 32)
        scales = Array.of((rng.integers(1, 1 << 11, shape) * 2.0**-16).astype(np.float32))
        return {"weight": codes, "weight_scale_inv": scales}

    def build(id: str, others: Config) -> Build:
        found = Build("nvfp4", id, modelopt(), drawn)
        for name, shape in MODULES.items():
            if "mlp" not in name:
                found.packed[LAYER + name] = Packed(dict(others), fp8(found.rng, others, *shape))
        return found

    def sidecar(layers: dict[str, Any]) -> dict[str, Any]:
        settings = {"quant_algo": "MIXED_PRECISION", "kv_cache_quant_algo": None, "quantized_layers": layers}
        return {"producer": {"name": "modelopt", "version": "0.47.0"}, "quantization": settings}

    found = build("mixed-precision", modelopt("FP8"))
    layers = {name: {"quant_algo": packed.config["quant_algo"]} for name, packed in found.packed.items()}
    found.settings = mixed(layers)
    yield found.folder(flags=frozenset({"fp8"}))
    found = build("mixed-precision-in-the-sidecar", modelopt("FP8"))
    yield found.folder(
        json={"config.json": found.config, "hf_quant_config.json": sidecar(layers)}, flags=frozenset({"fp8"})
    )
    # The model's own config.json, beside what ModelOpt added to it.
    found = build("fp8-whose-sidecar-names-others", blocks)
    own = {name: {"quant_algo": "NVFP4", "group_size": 16} for name in found.packed if "mlp" in name}
    files = {"config.json": found.config | {"quantization_config": blocks}, "hf_quant_config.json": sidecar(own)}
    yield found.folder(json=files, flags=frozenset({"fp8"}))
    # The same without names is two answers to one question.
    found = build("fp8-whose-sidecar-says-nvfp4", blocks)
    other = {"quantization": {"quant_algo": "NVFP4", "group_size": 16}}
    files = {"config.json": found.config | {"quantization_config": blocks}, "hf_quant_config.json": other}
    yield found.folder(json=files, code="config-contradiction", flags=frozenset({"fp8"}))
