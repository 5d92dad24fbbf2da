"""A running model: it recites its text, knows where it came from, and leaves no temporary files."""

from __future__ import annotations

import gc
import json
import logging
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import pytest
import torch

import reference
from mlx_quant import ConversionError, UnsupportedFormat, load
from tests.conftest import stored

GPTQ, ACT, AWQ = "llama-gptq-g128-seq-asym", "qwen2-gptq-g32-act-asym", "qwen2-awq-g32"
WINDOW = 128
Copy = Callable[..., Any]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of the code under test go here, and must be gone."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def windows() -> list[list[int]]:
    ids = json.loads((stored("recital_ids.json")).read_text())
    return [ids[start : start + WINDOW + 1] for start in range(0, 4 * WINDOW, WINDOW)]


def perplexity(model: Any) -> float:
    """Activations in float32, so that only the weights differ from the reference run."""
    model.set_dtype(mx.float32)
    total = 0.0
    for window in windows():
        logits = model(mx.array([window[:-1]]))[0]
        logs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        total -= float(mx.take_along_axis(logs, mx.array(window[1:])[:, None], axis=-1).sum())
    return math.exp(total / (len(windows()) * WINDOW))


def reference_perplexity(name: str) -> float:
    """transformers' model on the reference's weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(stored(name))
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    state = {key: tensor.float() for key, tensor in reference.SUBJECT.load(stored(name)).items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert set(missing) <= {"lm_head.weight"}
    assert not unexpected
    model.tie_weights()
    total = 0.0
    with torch.no_grad():
        for window in windows():
            logs = model(torch.tensor([window[:-1]])).logits[0].log_softmax(-1)
            total -= float(logs.gather(-1, torch.tensor(window[1:])[:, None]).sum())
    return math.exp(total / (len(windows()) * WINDOW))


@pytest.mark.parametrize("name", [GPTQ, ACT, AWQ])
def test_it_recites_as_well_as_the_reference(scratch: Path, name: str) -> None:
    expected = reference_perplexity(name)
    assert expected < 1.2
    dense, tokenizer = load(stored(name), target="dense")
    assert perplexity(dense) == pytest.approx(expected, rel=1e-4)
    if name != ACT:
        affine, _ = load(stored(name), target="affine")
        assert len(affine._conversion.affine) == 14
        assert perplexity(affine) == pytest.approx(expected, rel=0.01)
    assert tokenizer.decode(tokenizer.encode("the")) == "the"
    assert list(scratch.glob("mlx-quant-*")) == []


@pytest.mark.parametrize(("name", "target"), [(GPTQ, "affine"), (ACT, "dense"), ("llama-gptq-gall-act-asym", "affine")])
def test_auto_packs_what_it_can_pack_without_loss(name: str, target: str) -> None:
    model, _ = load(stored(name))
    assert model._conversion.target == target
    kind = {"affine": "QuantizedLinear", "dense": "Linear"}[target]
    assert type(model.model.layers[0].mlp.up_proj).__name__ == kind


def test_it_knows_where_it_came_from() -> None:
    model, tokenizer = load(str(stored(AWQ)))
    assert model._hf_repo == str(stored(AWQ))
    assert Path(model._src_path) == (stored(AWQ)).resolve()
    assert Path(tokenizer.name_or_path) == (stored(AWQ)).resolve()
    again, _ = load(model._src_path)
    assert mx.array_equal(again.model.norm.weight, model.model.norm.weight).item()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, ValueError])
@pytest.mark.parametrize("place", ["load_model", "eval"])
def test_nothing_is_left_after_a_failure(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], place: str
) -> None:
    seen = []

    def fail(*_: Any, **__: Any) -> None:
        seen.extend(scratch.rglob("model.safetensors"))
        raise error

    if place == "load_model":
        monkeypatch.setattr(mlx_lm.utils, "load_model", fail)
    else:
        monkeypatch.setattr(mx, "eval", fail_late(scratch, seen, error))
    with pytest.raises(error):
        load(stored(GPTQ))
    assert seen
    assert list(scratch.glob("mlx-quant-*")) == []


def fail_late(scratch: Path, seen: list[Path], error: type[BaseException]) -> Callable[..., None]:
    """``mx.eval`` that works until the converted checkpoint is complete."""
    original = mx.eval

    def evaluate(*args: Any) -> None:
        found = [path for path in scratch.rglob("config.json") if ".partial-" not in str(path)]
        if found:
            seen.extend(found)
            raise error
        original(*args)

    return evaluate


def test_a_lazy_model_keeps_its_files_as_long_as_it_lives(scratch: Path) -> None:
    model, _ = load(stored(GPTQ), target="dense", lazy=True)
    assert list(scratch.rglob("model.safetensors"))
    expected = reference.SUBJECT.load(stored(GPTQ))["model.layers.1.mlp.down_proj.weight"]
    assert model.model.layers[1].mlp.down_proj.weight.tolist() == expected.tolist()
    del model
    gc.collect()
    assert list(scratch.glob("mlx-quant-*")) == []


def test_requantising_is_done_on_dense_weights_and_says_that_it_rounds_twice(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mlx_quant"):
        model, _ = load(stored(ACT), requantize={"group_size": 32})
    assert "rounded twice" in caplog.text
    layer = model.model.layers[0].mlp.up_proj
    assert (type(layer).__name__, layer.group_size, layer.bits) == ("QuantizedLinear", 32, 4)
    dense = reference.SUBJECT.load(stored(ACT))["model.layers.0.mlp.up_proj.weight"]
    expected = mx.quantize(mx.array(dense.float().numpy()).astype(mx.float16), group_size=32, bits=4)
    assert mx.array_equal(layer.weight, expected[0]).item()
    assert perplexity(model) < 1.2


def test_refusals_of_the_loader(copy: Copy) -> None:
    with pytest.raises(ConversionError) as caught:
        load(stored(GPTQ), target="affine", requantize=True)
    assert caught.value.code == "bad-target"
    source = copy(GPTQ)
    source.configure(model_type="llama-of-the-future")
    with pytest.raises(UnsupportedFormat) as refused:
        load(source.path)
    assert (refused.value.code, refused.value.where) == ("unsupported-architecture", "config.json: model_type")


def test_it_says_what_is_missing_without_mlx_lm(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "mlx_lm", None)
    with pytest.raises(ConversionError) as caught:
        load(stored(GPTQ))
    assert caught.value.code == "missing-dependency"
