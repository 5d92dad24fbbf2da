"""One checkpoint of many widths: rules of ``dynamic`` give modules bits of their own, down to a packed lm_head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest
import torch

from mlx_quant import Checkpoint, convert, dequantize, load
from mlx_quant.cli.inspection import inspect
from tests.core.plain_gptq import Module, config, random_module

# What GPTQ's own config means at 5 to 7 bits is another packing, which is refused.
BITS = (2, 3, 4, 8)
SOURCE = "llama-gptq-g128-seq-asym"
Copy = Callable[..., Any]

# Modules that are packed anew, one for each width: [out, in].
SHAPES = {"q_proj": (256, 256), "k_proj": (128, 256), "v_proj": (128, 256), "o_proj": (256, 256)}
NAMES = [f"model.layers.1.self_attn.{name}" for name in SHAPES]


@pytest.fixture
def mixed(copy: Copy) -> tuple[Any, dict[str, Module]]:
    """A checkpoint folder whose modules have all widths there are, and the true numbers of those."""
    source, rng = copy(SOURCE), np.random.default_rng(3)
    modules = {
        name: random_module(rng, bits, *SHAPES[name.rpartition(".")[2]], 32)
        for name, bits in zip(NAMES, BITS, strict=False)
    }

    def change(tensors: dict[str, torch.Tensor]) -> None:
        vocabulary = tensors.pop("lm_head.weight").shape[0]
        modules["lm_head"] = random_module(rng, 8, vocabulary, 256, 64)
        for name, module in modules.items():
            for leaf, array in module.tensors().items():
                tensors[f"{name}.{leaf}"] = torch.from_numpy(np.array(array))

    source.rewrite(change)
    rules = {f"+:{name.replace('.', '[.]')}$": {"bits": m.bits, "group_size": 32} for name, m in modules.items()}
    rules["+:lm_head$"] = {"bits": 8, "group_size": 64}
    source.requantize_config(sym=False, dynamic=rules)
    return source, modules


def test_each_module_is_decoded_by_its_own_rule(mixed: Any, tmp_path: Path) -> None:
    source, modules = mixed
    checkpoint = Checkpoint.open(source.path)
    report = convert(source.path, tmp_path / "out", progress=False)
    written = mx.load(str(tmp_path / "out" / report.files[0]))
    for name, module in modules.items():
        expected = module.weight().view(np.uint16)
        alone = dequantize(config(module.bits, checkpoint.modules[name].scheme.group_size), module.tensors())
        for found in (checkpoint.dequantize(name), written[f"{name}.weight"], alone):
            np.testing.assert_array_equal(np.array(found).view(np.uint16), expected)


def test_mlx_lm_loads_the_widths_it_was_told(mixed: Any, tmp_path: Path) -> None:
    source, modules = mixed
    report = convert(source.path, tmp_path / "out", target="affine", params_dtype="float32", progress=False)
    assert not report.dense
    quantization = json.loads((tmp_path / "out" / "config.json").read_text())["quantization"]
    model, _ = mlx_lm.load(str(tmp_path / "out"))
    for name, module in modules.items():
        layer = model.lm_head if name == "lm_head" else model.layers[1].self_attn[name.rpartition(".")[2]]
        told = quantization.get(name, {key: quantization[key] for key in ("bits", "group_size", "mode")})
        assert (layer.bits, layer.group_size) == (told["bits"], told["group_size"])
        assert (told["bits"], told["mode"]) == (module.bits, "affine")
        arrays = layer.weight, layer.scales, layer.biases
        value = mx.dequantize(*arrays, group_size=layer.group_size, bits=layer.bits)
        np.testing.assert_array_equal(np.array(value.astype(mx.float16)), module.weight())


def test_inspect_tells_the_widths_apart_and_load_runs_them(mixed: Any) -> None:
    source, _ = mixed
    data, headers = inspect(source.path), inspect(source.path, data=False)
    assert {group.bits for group in data.modules} == {4, *BITS}
    assert (data.modules, data.outcomes) == (headers.modules, headers.outcomes)
    assert (data.auto, data.lm_head) == ("affine", "packed")
    model, _ = load(source.path, target="affine", params_dtype="float32", dtype="float32")
    dense, _ = load(source.path, target="dense", dtype="float32")
    tokens = mx.array([[3, 5, 7, 11]])
    assert mx.allclose(model(tokens), dense(tokens), rtol=1e-3, atol=1e-3).item()
