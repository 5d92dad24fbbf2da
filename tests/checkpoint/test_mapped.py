"""Codes that a CPU takes from the mapped file: the same bits as those that MLX reads, and nothing mapped afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import mlx_quant
from mlx_quant.files import mapped
from mlx_quant.files.folder import read_header
from mlx_quant.packings.registry import PACKINGS, traits
from mlx_quant.weights.integer import Integer

FIXTURES = Path(__file__).parents[2] / "fixtures"
PASSED = {name: traits(packing).passed for name, packing in PACKINGS.items() if traits(packing).passed}
MODELS = [model for name in PASSED for model in sorted((FIXTURES / name / "models").glob("*"))]


@pytest.fixture(autouse=True)
def on_cpu() -> Iterator[None]:
    device = mx.default_device()
    mx.set_default_device(mx.cpu)
    yield
    mx.set_default_device(device)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of tensors whose mapped memory was taken; even the smallest are mapped."""
    names: list[str] = []
    real = mapped.Mapped.memory

    def memory(self: mapped.Mapped, info: Any) -> Callable[[], np.ndarray] | None:
        give = real(self, info)

        def told() -> np.ndarray:
            assert give is not None
            names.append(info.name)
            return give()

        return told

    monkeypatch.setattr(mapped, "LEAST", 0)
    monkeypatch.setattr(mapped.Mapped, "memory", memory)
    return names


def decoded(folder: Path) -> dict[str, list[bytes]]:
    checkpoint, found = mlx_quant.Checkpoint.open(folder), {}
    for name in checkpoint.modules:
        checkpoint.read_ahead(name)
        dense = checkpoint.dequantize(name)
        try:
            packed = list(checkpoint.native(name).arrays.values())
        except mlx_quant.UnsupportedFormat:
            packed = []
        found[name] = [np.array(array.view(mx.uint8)).tobytes() for array in (dense, *packed)]
    drain()
    return found


def drain() -> None:
    """Wait for the thread that touches what comes next: it may be behind, and still hold memory that was decoded."""
    mapped._reader().submit(lambda: None).result()


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_the_same_bits_from_mapped_memory(folder: Path, given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = decoded(folder)
    checkpoint = mlx_quant.Checkpoint.open(folder)
    for name, module in checkpoint.modules.items():
        for suffix in PASSED[module.scheme.packing]:
            assert f"{name}{suffix}" in given
    taken = len(given)
    monkeypatch.setattr(mapped, "LEAST", 1 << 60)
    assert decoded(folder) == found
    assert len(given) == taken


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="nothing tells what is mapped")
def test_nothing_stays_mapped(given: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "only-here"
    shutil.copytree(MODELS[0], folder)
    checkpoint = mlx_quant.Checkpoint.open(folder)
    first, second, *_ = checkpoint.modules
    checkpoint.read_ahead(second)
    dense = [checkpoint.dequantize(name) for name in (first, second)]
    mx.eval(dense)
    drain()
    assert given
    assert "only-here" not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "int32", "int64", "uint8", "bool", "float8_e4m3fn"])
def test_memory_is_the_bytes_of_the_file(name: str, tmp_path: Path) -> None:
    octets = torch.arange(5000, dtype=torch.int64).to(torch.uint8)
    whole = octets % 2 == 1 if name == "bool" else octets[: 5000 // 40 * 40].view(getattr(torch, name))
    # Of a page of 4 KB the second begins somewhere.
    save_file({"a": torch.zeros(700, dtype=torch.int64), "b": whole.reshape(5, -1)}, tmp_path / "x.safetensors")
    info = read_header(tmp_path / "x.safetensors", "x.safetensors")["b"]
    memory = mapped.Mapped(tmp_path / "x.safetensors").memory(info)
    assert memory is not None
    found = memory()
    assert found.shape == info.shape
    assert found.tobytes() == whole.contiguous().view(torch.uint8).numpy().tobytes()
    assert memory() is found
    with pytest.raises(ValueError, match="read-only"):
        found[...] = 0


def test_what_is_not_aligned_is_read(tmp_path: Path) -> None:
    header = (
        b'{"__metadata__":{"shape":"no tensor"},'
        b'"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"I32","shape":[2],"data_offsets":[3,11]}}'
    )
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(range(11)))
    infos, file = read_header(path, path.name), mapped.Mapped(path)
    begin = (8 + len(header) + 3) % 4
    assert (file.memory(infos["b"]) is None) == (begin != 0)
    found = file.memory(infos["a"])
    assert found is not None
    assert list(found()) == [0, 1, 2]


@pytest.mark.parametrize("manner", ["shorter", "gone"])
def test_a_file_that_changes_is_refused(manner: str, given: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODELS[0], folder)
    checkpoint = mlx_quant.Checkpoint.open(folder)
    name, module = next(iter(checkpoint.modules.items()))
    weight = checkpoint.decode(name)
    assert isinstance(weight, Integer)
    mx.eval(weight.scales, weight.zero_points, weight.group_index)
    if manner == "shorter":
        os.truncate(folder / module.file, 4096)
    else:
        (folder / module.file).unlink()
    with pytest.raises(mlx_quant.QuantError) as refused:
        weight.dense()
    assert refused.value.code == {"shorter": "source-changed", "gone": "unreadable-file"}[manner]
