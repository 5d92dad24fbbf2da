"""Checkpoint folders of ModelOpt's INT4: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..dialects.modelopt import mixed
from ..folder import Folder, Packed
from ..parts import Config
from .packing import ALGORITHM, group_size, modelopt, pack

SIDECAR = ""
LEGACY: dict[str, Any] = {}
_PRODUCER = {"name": "modelopt", "version": "0.47.0"}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    groups = in_features // group_size(config, in_features)
    scales = Array.of((rng.integers(1, 1 << 20, (groups, out)) * 2.0**-26).astype(np.float32))
    codes = rng.integers(0, 16, (out, in_features))
    return pack(codes, codes, scales)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"ignore": ["lm_head", *(f"re:.*{name}" for name in left_out)]}


def folders() -> Iterator[Folder]:
    build = Build("modelopt_int4", "scaled-inputs", modelopt(GROUP_SIZE), drawn)
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        inputs = (build.rng.random(MODULES[name][1]) + 0.5).astype(np.float16)
        build.packed[LAYER + name].tensors["pre_quant_scale"] = Array.of(inputs)
    quantization = {
        "quant_algo": ALGORITHM,
        "kv_cache_quant_algo": None,
        "group_size": GROUP_SIZE,
        "has_zero_point": False,
        "pre_quant_scale": True,
        "exclude_modules": ["lm_head"],
    }
    # As ModelOpt writes them: the group size stands in the sidecar alone.
    files = {
        "config.json": build.config | {"quantization_config": modelopt(ignore=["lm_head"], producer=_PRODUCER)},
        "hf_quant_config.json": {"producer": _PRODUCER, "quantization": quantization},
    }
    yield build.folder(json=files)
    build = Build("modelopt_int4", "scales-of-the-cache", modelopt(kv_cache_quant_algo="FP8"), drawn)
    for leaf in "kv":
        name = f"{LAYER}self_attn.{leaf}_proj.{leaf}_scale"
        build.stored_besides[name] = Array.of(np.array(0.02, np.float32))
    yield build.folder()
    yield _beside_fp8()
    build = Build("modelopt_int4", "sidecar-of-other-groups", modelopt(), drawn)
    other = {"quantization": quantization | {"group_size": 48}}
    files = {"config.json": build.config | {"quantization_config": build.settings}, "hf_quant_config.json": other}
    yield build.folder(json=files, code="bad-shape")


def _beside_fp8() -> Folder:
    """MLP modules are INT4 by their names, the others FP8."""
    build = Build("modelopt_int4", "mixed-precision", modelopt(GROUP_SIZE), drawn)
    eights = {"quant_method": "modelopt", "quant_algo": "FP8"}
    for name, shape in MODULES.items():
        if "mlp" not in name:
            codes = Array("float8_e4m3fn", build.rng.integers(0, 0x7F, shape).astype(np.uint8))
            scale = Array.of(np.array(0.0123, np.float32))
            build.packed[LAYER + name] = Packed(eights, {"weight": codes, "weight_scale": scale})
    layers = {name: {key: value for key, value in packed.config.items() if key != "quant_method"}
              for name, packed in build.packed.items()}  # fmt: skip
    build.settings = mixed(layers)
    return build.folder(flags=frozenset({"fp8"}))
