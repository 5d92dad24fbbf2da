"""Checkpoint folders of HQQ: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..folder import Folder
from ..parts import Config
from .packing import config, flag, group_size, number, pack_floats, params, settings, text

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    own = params(config)
    bits, axis, size = int(own["nbits"]), int(own["axis"]), group_size(config, in_features)
    groups = out * in_features // size
    scales = Array.of((rng.integers(1, 1 << 11, groups) * 2.0**-14).astype(np.float16))
    zeros = nearest(rng.integers(0, 1 << 8, groups) * 2.0**-8 * (1 << bits), "float16")
    codes = rng.integers(0, 1 << bits, (out, in_features))
    return pack_floats(codes, zeros, scales, bits=bits, group=size, axis=axis)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"skip_modules": left_out}


def folders() -> Iterator[Folder]:
    plain = config(4, GROUP_SIZE)
    yield Build("hqq", "axis-0", config(4, GROUP_SIZE, axis=0), drawn).folder()
    build = Build("hqq", "tags", plain, drawn)
    own = {name: settings(*((3, 16, 0) if name.startswith("mlp") else (8, GROUP_SIZE, 1))) for name in MODULES}
    for name, shape in MODULES.items():
        build.pack(LAYER + name, *shape, quant_config=own[name])
    build.settings["quant_config"] = own
    yield build.folder()
    # Tensors say what a module is, and every reader goes by them.
    build = Build("hqq", "labelled-8-bits", plain, drawn)
    build.settings["quant_config"] = settings(8, 64)
    yield build.folder()
    build = Build("hqq", "packed-zero-points", plain, drawn)
    tensors = build.packed[LAYER + "mlp.up_proj"].tensors
    tensors["zero_q"] = Array.of(np.zeros(tensors["zero"].shape, np.uint8))
    del tensors["zero"]
    tensors["quant_zero"] = flag(True)
    yield build.folder(code="unsupported-layout")
    for leaf, array in (("shape", number(64)), ("packing", text("4bit_32"))):
        build = Build("hqq", f"{leaf}-unheard-of", plain, drawn)
        build.packed[LAYER + "mlp.up_proj"].tensors[leaf] = array
        yield build.folder(code="unsupported-layout")
    build = Build("hqq", "no-shape", plain, drawn)
    del build.packed[LAYER + "mlp.up_proj"].tensors["shape"]
    yield build.folder(code="missing-tensor")
