"""A running model: it recites its text, knows where it came from, and leaves no temporary files."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.utils
import mlx_lm.utils
import pytest
import torch

import reference
from mlx_quant import Checkpoint, ConversionError, QuantError, UnsupportedFormat, convert, load
from mlx_quant.conversion import job
from mlx_quant.running.load import Opened
from mlx_quant.running.way import Way
from mlx_quant.weights.decoded import begin_dense, begin_native
from tests.conftest import ROOT, stored

GPTQ, ACT, AWQ = "llama-gptq-g128-seq-asym", "qwen2-gptq-g32-act-asym", "qwen2-awq-g32"
REAL = sorted(ROOT.glob("fixtures/*/models/*"))
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
    affine, _ = load(stored(name), target="affine")
    assert len(affine._conversion.affine) == 14
    assert len(affine._conversion.permuted) == (14 if name == ACT else 0)
    assert perplexity(affine) == pytest.approx(expected, rel=0.01)
    assert tokenizer.decode(tokenizer.encode("the")) == "the"
    assert list(scratch.glob("mlx-quant-*")) == []


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        (GPTQ, {}, "QuantizedLinear"),
        (ACT, {}, "StandingPermutedLinear"),
        (ACT, {"permute": False}, "Linear"),
        ("llama-gptq-gall-act-asym", {"permute": False}, "QuantizedLinear"),
    ],
)
def test_auto_packs_what_it_can_pack_without_loss(name: str, options: dict[str, Any], kind: str) -> None:
    model, _ = load(stored(name), **options)
    assert model._conversion.target == ("dense" if kind == "Linear" else "affine")
    assert type(model.model.layers[0].mlp.up_proj).__name__ == kind


def test_it_knows_where_it_came_from() -> None:
    model, tokenizer = load(str(stored(AWQ)))
    assert model._hf_repo == str(stored(AWQ))
    assert Path(model._src_path) == (stored(AWQ)).resolve()
    assert Path(tokenizer.name_or_path) == (stored(AWQ)).resolve()
    again, _ = load(model._src_path)
    assert mx.array_equal(again.model.norm.weight, model.model.norm.weight).item()


def same(first: Any, second: Any) -> bool:
    """Parameters bit for bit, and modules by their kinds and what they say of themselves."""
    ours, theirs = (dict(mlx.utils.tree_flatten(model.parameters())) for model in (first, second))
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert (name, array.dtype, array.shape) == (name, theirs[name].dtype, theirs[name].shape)
        assert mx.array_equal(array.view(mx.uint8), theirs[name].view(mx.uint8)).item(), name
    kinds = [
        [(name, type(module), module._extra_repr(), module.training) for name, module in model.named_modules()]
        for model in (first, second)
    ]
    return kinds[0] == kinds[1]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_it_is_the_model_of_the_converted_folder(
    path: Path, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every real checkpoint, as ``auto`` packs it and dense, and nothing is written for it."""
    seen: set[str] = set()
    for target in ("auto", "dense"):
        opened = Opened(Checkpoint.open(path))
        with monkeypatch.context() as patch:
            patch.setattr("mlx_quant.running.load.Scratch", None)
            model, config = opened.model(Way(target, permute=False), adapter_path=None, lazy=False, name="x")  # type: ignore[arg-type]
        report = model._conversion
        if report.target in seen:
            continue
        seen.add(report.target)
        written = convert(path, tmp_path / target, target=report.target, progress=False)
        expected, theirs = mlx_lm.utils.load_model(tmp_path / target)
        assert same(model, expected)
        assert config == theirs
        assert (report.nbytes, report.dense, report.affine) == (written.nbytes, written.dense, written.affine)
        assert (report.destination, report.files) == ("", ())
    assert list(scratch.iterdir()) == []


def test_memory_holds_the_model_and_a_module() -> None:
    """And what that is decoded through, a few times its size here where modules are tiny."""
    source = stored(GPTQ)
    load(source)
    model, _ = load(source, target="dense")
    arrays = dict(mlx.utils.tree_flatten(model.parameters()))
    size, largest = sum(array.nbytes for array in arrays.values()), max(array.nbytes for array in arrays.values())
    del model, arrays
    gc.collect()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    model, _ = load(source, target="dense")
    assert mx.get_peak_memory() - before < size + 4 * largest
    del model


def test_a_model_config_is_the_callers(scratch: Path) -> None:
    """Also one that says how mlx-lm is to load, which is left to mlx-lm."""
    model, _ = load(stored(AWQ), model_config={"rope_theta": 77.0})
    assert model.args.rope_theta == 77.0
    with pytest.raises(ValueError, match="does not support activation quantization"):
        load(stored(AWQ), model_config={"quantize_activations": True})
    assert list(scratch.glob("mlx-quant-*")) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, ValueError])
@pytest.mark.parametrize("place", ["load_model", "eval"])
def test_nothing_is_left_after_a_failure(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], place: str
) -> None:
    """Of the temporary folder that is needed to quantise again."""
    seen = []

    def fail(*_: Any, **__: Any) -> None:
        seen.extend(scratch.rglob("model.safetensors"))
        raise error

    if place == "load_model":
        monkeypatch.setattr(mlx_lm.utils, "load_model", fail)
    else:
        monkeypatch.setattr(mx, "eval", fail_late(scratch, seen, error))
    with pytest.raises(error):
        load(stored(GPTQ), requantize=True)
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


@pytest.mark.parametrize(
    ("name", "text", "code"), [("vocab.json", "{", "bad-file"), ("merges.txt", "#!/bin/sh", "untrusted-code")]
)
def test_what_a_conversion_would_not_copy_is_not_loaded_beside(copy: Copy, name: str, text: str, code: str) -> None:
    source = copy(GPTQ)
    (source.path / name).write_text(text)
    with pytest.raises(QuantError) as caught:
        Opened(Checkpoint.open(source.path)).model(Way(), adapter_path=None, lazy=False, name="x")
    assert (caught.value.code, caught.value.where) == (code, name)


def test_a_source_that_changes_as_it_is_loaded_is_refused(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    source, original = copy(GPTQ), job.begin_native

    def meddled(*args: Any) -> Any:
        os.utime(source.weights, ns=(1, 1))
        return original(*args)

    monkeypatch.setattr(job, "begin_native", meddled)
    with pytest.raises(ConversionError) as caught:
        load(source.path)
    assert caught.value.code == "source-changed"


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


def test_one_module_is_looked_at_while_the_one_before_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    begin = job.begin_native

    def told(*args: Any) -> Any:
        number = sum(event.startswith("begun") for event in events)
        events.append(f"begun {number}")
        making = begin(*args)

        def whole() -> Any:
            events.append(f"whole {number}")
            return making()

        return whole

    monkeypatch.setattr(job, "begin_native", told)
    source = Checkpoint.open(stored(GPTQ))
    settled = job.Job.settled(source, "affine", None, None, permute=False)
    taken = [step.name for step, _ in settled.all_tensors()]
    assert taken == [step.name for step in settled.plan.steps]
    assert len(events) == 2 * len(source.modules)
    number, neighbours = -1, 0
    for step, following in pairwise(settled.plan.steps):
        number += step.kind == "affine"
        if step.kind == following.kind == "affine":
            neighbours += 1
            assert events.index(f"begun {number + 1}") < events.index(f"whole {number}")
    assert neighbours


def test_a_matrix_that_was_begun_is_the_one_that_is_asked_for_at_once() -> None:
    source = Checkpoint.open(stored(GPTQ))
    name = next(iter(source.modules))
    begun = begin_dense(source.decode(name)), begin_native(source.decode(name))
    assert mx.array_equal(begun[0](), source.dequantize(name)).item()
    found, wanted = begun[1]().arrays, source.native(name).arrays
    assert all(mx.array_equal(found[leaf], wanted[leaf]).item() for leaf in wanted)
