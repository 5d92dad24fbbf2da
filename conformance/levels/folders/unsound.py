"""Checkpoint folders with one thing wrong: a sound loader refuses them, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Container, Iterator

from ...bits.safetensors_file import write_safetensors
from ...formats.build import LAYER, MODULES
from ...formats.folder import Folder
from ...formats.module import full_name
from ...formats.protocol import Format
from .sound import build_of

_Q = LAYER + "self_attn.q_proj"
_INDEX = "model.safetensors.index.json"
_NANS = {"float16": 0x7E00, "bfloat16": 0x7FC0, "float32": 0x7FC00000, "uint8": 255, "float8_e8m0fnu": 255}
_NANS |= {"float8_e4m3fn": 0x7F}


def unsound(format: Format) -> Iterator[Folder]:
    yield from _files(format)
    yield from _contents(format)


def _packed(modules: Container[str]) -> str:
    """A packed module of the MLP: one that the format has words for."""
    return next(name for name in (f"{LAYER}mlp.up_proj", f"{LAYER}mlp.down_proj") if name in modules)


def _files(format: Format) -> Iterator[Folder]:
    def sharded(id: str, code: str, either: bool = False) -> tuple[Folder, str, str]:
        folder = build_of(format, id).sharded(lambda name: "mlp" in name, code=code, either=either)
        first, second = sorted(folder.shards)
        return folder, first, second

    folder, first, _ = sharded("missing-shard", "missing-file")
    del folder.shards[first]
    yield folder
    folder, first, _ = sharded("index-names-a-tensor-that-is-not-there", "stale-index")
    del folder.shards[first][full_name(_packed(folder.packed), format.LAYOUT.scales)]
    yield folder
    # A tensor of a listed shard that the index forgot: reading it is right as well, skipping it is not.
    folder, _, _ = sharded("index-forgets-a-tensor", "stale-index", either=True)
    del folder.json[_INDEX]["weight_map"]["model.norm.weight"]
    yield folder
    folder, first, _ = sharded("index-leaves-the-folder", "unsafe-path")
    for name, file in folder.json[_INDEX]["weight_map"].items():
        folder.json[_INDEX]["weight_map"][name] = f"../{folder.name}/{first}" if file == first else file
    yield folder
    build = build_of(format, "truncated")
    whole = write_safetensors(build.stored())
    yield build.folder(shards={}, raw={"model.safetensors": whole[: len(whole) // 2]}, code="truncated-file")
    build = build_of(format, "pickled")
    yield build.folder(shards={}, raw={"pytorch_model.bin": b"\x80\x02}q\x00."}, code="unsafe-weights")
    build = build_of(format, "files-without-an-index")
    stored = build.stored()
    halves = {f"part-{number}.safetensors": dict(list(stored.items())[number::2]) for number in (0, 1)}
    yield build.folder(shards=halves, code="missing-file")
    if format.SIDECAR:
        build = build_of(format, "dense-beside-a-stale-sidecar")
        dense = dict(build.plain)
        yield build.folder(
            shards={"model.safetensors": dense},
            json={"config.json": build.config, format.SIDECAR: build.settings},
            code="missing-tensor",
        )


def _contents(format: Format) -> Iterator[Folder]:
    if format.SIDECAR:
        build = build_of(format, "sidecar-of-another-model")
        sidecar = format.config(format.WIDTHS[0], 64)
        yield build.folder(
            json={"config.json": build.config | {"quantization_config": build.settings}, format.SIDECAR: sidecar},
            code="config-contradiction",
        )
    build = build_of(format, "one-nan-scale")
    scales = build.packed[_Q].tensors[format.LAYOUT.scales]
    scales.bits[tuple(min(1, size - 1) for size in scales.shape)] = _NANS[scales.dtype]
    yield build.folder(code="non-finite-scales")
    build = build_of(format, "another-quant-method")
    build.settings["quant_method"] = "eetq"
    yield build.folder(code="unsupported-method")
    if (zeros := format.LAYOUT.zeros) is not None:
        build = build_of(format, f"no-{zeros}")
        del build.packed[_Q].tensors[zeros]
        yield build.folder(code="missing-tensor")
    build = build_of(format, "a-bias-nobody-wants")
    name = _packed(build.packed)
    build.stored_besides[f"{name}.bias"] = build.floats(MODULES[name.removeprefix(LAYER)][0])
    yield build.folder(code="unsupported-bias")
