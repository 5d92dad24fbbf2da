"""Checkpoint folders with one thing wrong: a sound loader refuses them, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...bits.array import Array
from ...bits.safetensors_file import write_safetensors
from ...corpus.folder import Folder
from .build import LAYER, SIDECAR, Build

FORMATS = ("gptq", "awq")
_Q = LAYER + "self_attn.q_proj"
_INDEX = "model.safetensors.index.json"


def unsound() -> Iterator[Folder]:
    for format in FORMATS:
        yield from _files(format)
        yield from _contents(format)


def _files(format: str) -> Iterator[Folder]:
    def sharded(id: str, code: str, either: bool = False) -> tuple[Folder, str, str]:
        folder = Build(id, format).sharded(lambda name: "mlp" in name, code=code, either=either)
        first, second = sorted(folder.shards)
        return folder, first, second

    folder, first, _ = sharded("missing-shard", "missing-file")
    del folder.shards[first]
    yield folder
    folder, first, _ = sharded("index-names-a-tensor-that-is-not-there", "stale-index")
    del folder.shards[first][LAYER + "mlp.up_proj.scales"]
    yield folder
    # A tensor of a listed shard that the index forgot: reading it is right as well, skipping it is not.
    folder, _, _ = sharded("index-forgets-a-tensor", "stale-index", either=True)
    del folder.json[_INDEX]["weight_map"]["model.norm.weight"]
    yield folder
    folder, first, _ = sharded("index-leaves-the-folder", "unsafe-path")
    for name, file in folder.json[_INDEX]["weight_map"].items():
        folder.json[_INDEX]["weight_map"][name] = f"../{folder.name}/{first}" if file == first else file
    yield folder
    build = Build("truncated", format)
    whole = write_safetensors(build.stored())
    yield build.folder(shards={}, raw={"model.safetensors": whole[: len(whole) // 2]}, code="truncated-file")
    build = Build("pickled", format)
    yield build.folder(shards={}, raw={"pytorch_model.bin": b"\x80\x02}q\x00."}, code="unsafe-weights")
    build = Build("files-without-an-index", format)
    stored = build.stored()
    halves = {f"part-{number}.safetensors": dict(list(stored.items())[number::2]) for number in (0, 1)}
    yield build.folder(shards=halves, code="missing-file")
    build = Build("dense-beside-a-stale-sidecar", format)
    dense = dict(build.plain)
    yield build.folder(
        shards={"model.safetensors": dense},
        json={"config.json": build.config, SIDECAR[format]: build.settings},
        code="missing-tensor",
    )


def _contents(format: str) -> Iterator[Folder]:
    build = Build("sidecar-of-another-model", format)
    sidecar = build.settings | {"group_size": 64}
    yield build.folder(
        json={"config.json": build.config | {"quantization_config": build.settings}, SIDECAR[format]: sidecar},
        code="config-contradiction",
    )
    build = Build("one-nan-scale", format)
    build.packed[_Q].tensors["scales"].bits[1, 3] = 0x7E00
    yield build.folder(code="non-finite-scales")
    build = Build("another-quant-method", format)
    build.settings["quant_method"] = "fp8"
    yield build.folder(code="unsupported-method")
    build = Build("no-qzeros", format)
    del build.packed[_Q].tensors["qzeros"]
    yield build.folder(code="missing-tensor")
    build = Build("a-bias-nobody-wants", format)
    build.stored_besides[LAYER + "mlp.up_proj.bias"] = build.floats(96)
    yield build.folder(code="unsupported-bias")
    if format == "gptq":
        build = Build("g_idx-out-of-range", format)
        build.packed[_Q].tensors["g_idx"] = Array.of(np.arange(64, dtype=np.int32) // 16)
        yield build.folder(code="group-index-out-of-range")
        build = Build("asymmetric-gptq_v2", format)
        build.settings["checkpoint_format"] = "gptq_v2"
        yield build.folder(code="unsupported-layout")
    else:
        build = Build("gemv", format)
        build.settings["version"] = "gemv"
        yield build.folder(code="unsupported-layout")
