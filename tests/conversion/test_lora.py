"""LoRA on packed checkpoints with mlx-lm's own tuner: it learns, and what it learnt survives saving and fusing.

In float32, so that fused and unfused models may be compared closely, and because half precision is slow on a CPU.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten, tree_unflatten

import mlx_quant
from examples.lora import finetune
from tests.conftest import stored

CHECKPOINTS = [
    "llama-gptq-g128-act-asym",
    "llama-gptq-g128-seq-asym",
    "llama-awq-g32",
    "qwen2-gptq-g32-act-asym",
    "qwen2-gptq-g32-seq-asym",
    "qwen2-awq-g128",
]
WAYS: dict[str, dict[str, Any]] = {
    "dense": {"target": "dense", "dtype": "float32"},
    "affine": {"target": "affine", "dtype": "float32", "params_dtype": "float32"},
    "requantize": {"requantize": True, "dtype": "float32"},
}
# Requantising was the way to a packed base in act-order; one more shows that it needs no act-order.
REQUANTIZED = ["llama-gptq-g128-act-asym", "qwen2-gptq-g32-act-asym", "qwen2-awq-g128"]
# Each way, each method and each kind of groups once; the rest of them are for `tox -e slow`.
FIRST = {
    ("llama-gptq-g128-seq-asym", "affine"),
    ("qwen2-gptq-g32-act-asym", "affine"),
    ("llama-awq-g32", "dense"),
    ("qwen2-awq-g128", "requantize"),
}
CASES = [
    pytest.param(name, way, marks=() if (name, way) in FIRST else pytest.mark.slow)
    for name in CHECKPOINTS
    for way in WAYS
    if way != "requantize" or name in REQUANTIZED
]
# Nothing of the text that the tiny models know by heart.
TRAIN = [
    "The goat ate the green hat.",
    "The hen sat on ten warm eggs.",
    "A red fox ran up the dry hill.",
    "The old cow ate hay all day.",
    "Two mice hid in the big barn.",
    "The dog dug up a long bone.",
    "A duck swam in the cold pond.",
    "The cat slept on the soft mat.",
]
VALID = ["The pig ate the ripe fig.", "A bee flew to the tall oak.", "The hen ran to the barn.", "A red hen ate hay."]
OPTIONS = {"iters": 8, "batch_size": 4, "learning_rate": 5e-4, "steps_per_report": 4, "max_seq_length": 33}


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    """On a CPU, MLX compiles with the machine's C++ compiler, which takes longer than these few steps."""
    mx.disable_compile()
    yield
    mx.enable_compile()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    for name, lines in (("train", TRAIN), ("valid", VALID)):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in lines))
    return str(folder)


@pytest.fixture(scope="module")
def prompt() -> mx.array:
    from mlx_lm.utils import load_tokenizer

    return mx.array([load_tokenizer(stored("llama-base")).encode("The goat ran up the hill and ate the warm hay.")])


def distance(first: mx.array, second: mx.array) -> float:
    return mx.abs(first - second).max().item()


def fused(model: Any, dequantize: bool) -> Any:
    """The model with its adapters merged, as ``mlx_lm.fuse`` does it."""
    merged = [
        (name, module.fuse(dequantize=dequantize)) for name, module in model.named_modules() if "lora_a" in module
    ]
    model.update_modules(tree_unflatten(merged))
    return model


@pytest.mark.parametrize(("name", "way"), CASES)
def test_adapters_learn_are_saved_reloaded_and_fused(
    name: str, way: str, data: str, prompt: mx.array, tmp_path: Path
) -> None:
    source, options = str(stored(name)), WAYS[way]
    model, losses = finetune(source, data, str(tmp_path), load=options, **OPTIONS)
    assert all(map(math.isfinite, losses.train + losses.valid))
    assert losses.train[-1] < 0.9 * losses.train[0]
    assert losses.valid[-1] < 0.9 * losses.valid[0]
    packed = way != "dense"
    base = model.layers[0].mlp.up_proj.linear
    assert isinstance(base, nn.QuantizedLinear) == packed

    trained = model(prompt)
    plain, _ = mlx_quant.load(source, **options)
    assert distance(plain(prompt), trained) > 1, "adapters that change nothing prove nothing"
    assert mx.array_equal(plain.layers[0].mlp.up_proj.weight, base.weight).item(), "training touched the base"
    reloaded, _ = mlx_quant.load(source, adapter_path=str(tmp_path), **options)
    assert distance(reloaded(prompt), trained) < 1e-4
    assert distance(fused(reloaded, dequantize=packed)(prompt), trained) < 1e-3


@pytest.mark.parametrize("target", ["dense", "affine"])
def test_mlx_lm_fuses_adapters_into_the_converted_base(
    target: str, data: str, prompt: mx.array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to a model without adapters: trained on the packed repo, fused with what ``convert`` made of it."""
    import mlx_lm
    from mlx_lm import fuse

    source, adapters, base, merged = str(stored("qwen2-awq-g128")), *(str(tmp_path / part) for part in "abm")
    model, _ = finetune(source, data, adapters, load=WAYS[target], **OPTIONS)
    mlx_quant.convert(source, base, progress=False, **WAYS[target])
    read_back, _ = mlx_lm.load(base, adapter_path=adapters)
    assert distance(read_back(prompt), model(prompt)) < 1e-4
    command = ["mlx_lm.fuse", "--model", base, "--adapter-path", adapters, "--save-path", merged, "--dequantize"]
    monkeypatch.setattr(sys, "argv", command)
    fuse.main()
    read_back, _ = mlx_lm.load(merged)
    assert not any("lora" in name for name, _ in tree_flatten(read_back.parameters()))
    assert distance(read_back(prompt), model(prompt)) < 1e-3


@pytest.mark.slow
def test_half_precision_as_it_is_stored_trains_too(data: str, tmp_path: Path) -> None:
    options = OPTIONS | {"iters": 4, "val_batches": 1}
    _, losses = finetune(str(stored("qwen2-gptq-g128-act-sym")), data, str(tmp_path), load={}, **options)
    assert all(map(math.isfinite, losses.train + losses.valid))
    assert losses.valid[-1] < losses.valid[0]
