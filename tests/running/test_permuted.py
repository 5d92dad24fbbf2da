"""Act-order checkpoints at their own width: packed layers that put their inputs in order, in memory and in folders."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import mlx_lm.utils
import numpy as np
import pytest
import torch
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from safetensors.torch import load_file, save_file

import mlx_quant
import reference
from mlx_quant import ConversionError, MalformedCheckpoint, QuantError, UnsupportedFormat, convert, enabled, load
from mlx_quant.running.permuted import PermutedLinear, StandingPermutedLinear
from tests.conftest import ROOT, stored
from tests.conversion.test_convert_experts import SHAPES, write_mixtral

NAME, DOWN = "llama-gptq-g128-act-asym", "model.layers.0.mlp.down_proj"
ORDERED = sorted(
    path for path in ROOT.glob("fixtures/gptq/models/*") if "-act-" in path.name and "-gall-" not in path.name
)
FLOAT32: dict[str, Any] = {"dtype": "float32", "params_dtype": "float32"}
TOKENS = mx.array([[11, 42, 7, 99, 5, 64, 23, 8]])
LORA = {"rank": 4, "scale": 10.0, "dropout": 0.0}


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    """On a CPU, MLX compiles with the machine's C++ compiler, which takes longer than these few steps."""
    mx.disable_compile()
    yield
    mx.enable_compile()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted folder in which all 14 modules are permuted."""
    folder = tmp_path_factory.mktemp("permuted") / "out"
    report = convert(stored(NAME), folder, target="affine", permute=True, progress=False, **FLOAT32)
    assert len(report.permuted) == len(report.affine) == 14
    return folder


def parameters(model: Any) -> dict[str, mx.array]:
    return dict(tree_flatten(model.parameters()))


def same(first: Any, second: Any) -> bool:
    ours, theirs = parameters(first), parameters(second)
    return ours.keys() == theirs.keys() and all(mx.array_equal(ours[name], theirs[name]).item() for name in ours)


def distance(first: mx.array, second: mx.array) -> float:
    return mx.abs(first - second).max().item()


def refusal(action: Callable[[], Any]) -> QuantError:
    with pytest.raises(QuantError) as caught:
        action()
    return caught.value


@pytest.mark.parametrize("path", ORDERED, ids=lambda path: path.name)
def test_weights_are_the_references_and_logits_the_dense_models(path: Path) -> None:
    """With float32 parameters nothing is rounded, so each weight, rounded as the format has it, is the reference's."""
    model, _ = load(path, **FLOAT32)
    modules = {name: module for name, module in model.named_modules() if isinstance(module, PermutedLinear)}
    assert len(modules) == len(model._conversion.permuted) == 14
    assert model._conversion.target == "affine"
    expected = reference.SUBJECT.load(path)
    for name, module in modules.items():
        weight = expected[f"{name}.weight"]
        assert not mx.array_equal(module.permutation, mx.arange(module.permutation.size)).item()
        half = {torch.float16: mx.float16, torch.bfloat16: mx.bfloat16}[weight.dtype]
        found = np.array(module.dense().weight.astype(half).astype(mx.float32))
        np.testing.assert_array_equal(found, weight.float().numpy(), err_msg=name)
        assert module.weight.size * 32 // module.bits == weight.numel()
    dense, _ = load(path, target="dense", dtype="float32")
    assert len(dense._conversion.dense) == 14
    wanted = dense(TOKENS)
    # Sums of float32 in another order.
    assert distance(model(TOKENS), wanted) < 1e-4 * mx.abs(wanted).max().item()


def test_without_permute_it_is_dense_as_before() -> None:
    model, _ = load(stored(NAME), permute=False)
    assert (model._conversion.target, model._conversion.permuted) == ("dense", ())


def test_a_permutation_is_frozen_and_of_no_float_dtype() -> None:
    model, _ = load(stored(NAME))
    layer = model.layers[0].mlp.down_proj
    assert "permutation" in layer.parameters()
    assert not layer.trainable_parameters()
    model.set_dtype(mx.float32)
    assert layer.permutation.dtype == mx.int32


def test_lazy_and_with_a_model_config() -> None:
    expected, _ = load(stored(NAME))
    lazy, _ = load(stored(NAME), lazy=True)
    assert same(lazy, expected)
    strange, _ = load(stored(NAME), model_config={"quantize_activations": True})
    assert strange._conversion.target == "dense"


def test_a_folder_loads_again_and_plain_mlx_lm_refuses_it(written: Path) -> None:
    expected, _ = load(stored(NAME), **FLOAT32)
    again, tokenizer = load(written)
    assert same(again, expected)
    assert (again._hf_repo, again._src_path) == (str(written), str(written.resolve()))
    assert tokenizer.decode(tokenizer.encode("the")) == "the"
    for strict in (True, False):
        with pytest.raises(TypeError, match="permuted"):
            mlx_lm.utils.load_model(written, strict=strict)
    with enabled():
        ours, _, config = mlx_lm.load(str(written), return_config=True)
        refused = refusal(lambda: mlx_lm.utils.sharded_load(str(written)))
    assert same(ours, expected)
    assert refused.code == "bad-target"
    assert config["quantization"][DOWN] == {"group_size": 128, "bits": 4, "mode": "affine", "permuted": True}
    error = refusal(lambda: convert(written, written.parent / "more"))
    assert (error.code, "mlx_quant.load" in error.message) == ("mlx-native", True)


def test_the_parameter_alone_stops_a_loader_that_passes_over_the_key(written: Path, tmp_path: Path) -> None:
    config = json.loads((written / "config.json").read_text())
    for own in config["quantization"].values():
        if isinstance(own, dict):
            own.pop("permuted", None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(written / "model.safetensors")
    with pytest.raises(ValueError, match="parameters not in model"):
        mlx_lm.utils.load_model(tmp_path)


@pytest.mark.parametrize(
    "options", [{"target": "dense"}, {"requantize": True}, {"dtype": "float16"}, {"permute": False}]
)
def test_a_folder_stays_in_its_form(written: Path, options: dict[str, Any]) -> None:
    assert refusal(lambda: load(written, **options)).code == "bad-target"


def bend(tensors: dict[str, torch.Tensor], config: dict[str, Any], how: str) -> None:
    key, own = f"{DOWN}.permutation", config["quantization"][DOWN]
    if how == "beyond":
        tensors[key][3] = 1 << 20
    elif how == "twice":
        tensors[key][3] = tensors[key][4]
    elif how == "wide":
        tensors[key] = tensors[key].long()
    elif how == "two axes":
        tensors[key] = tensors[key].reshape(2, -1)
    elif how == "short":
        tensors[key] = torch.arange(256, dtype=torch.int32)
    elif how == "absent":
        del tensors[key]
    elif how == "not said":
        del own["permuted"]
    elif how == "elsewhere":
        config["quantization"]["model.embed_tokens"] = dict(own)
    elif how == "mode":
        own["mode"] = "mxfp4"
    elif how == "bits":
        own["bits"] = 8
    elif how == "code":
        config["model_file"] = "model.py"
    elif how == "model":
        config["model_type"] = "llama-of-the-future"


BENT = {
    "beyond": "group-index-out-of-range",
    "twice": "group-index-out-of-range",
    "wide": "bad-dtype",
    "two axes": "bad-shape",
    **dict.fromkeys(("short", "absent", "not said", "elsewhere", "mode", "bits"), "config-contradiction"),
    "code": "untrusted-code",
    "model": "unsupported-architecture",
}


@pytest.mark.parametrize("how", BENT)
def test_a_folder_by_a_stranger(written: Path, tmp_path: Path, how: str) -> None:
    """MLX does not look where it gathers, so what a permutation says is looked at before."""
    tensors, config = load_file(written / "model.safetensors"), json.loads((written / "config.json").read_text())
    bend(tensors, config, how)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "mlx"})
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((written / name).read_bytes())
    error = refusal(lambda: load(tmp_path))
    assert isinstance(error, (MalformedCheckpoint, UnsupportedFormat))
    assert error.code == BENT[how]


def adapted(model: Any, folder: Path) -> Any:
    """With adapters that change much, saved as mlx-lm's tuner saves them."""
    mx.random.seed(7)
    model.freeze()
    linear_to_lora_layers(model, 2, LORA)
    for _, module in model.named_modules():
        if "lora_b" in module:
            module.lora_b = mx.random.normal(module.lora_b.shape) * 0.02
    folder.mkdir()
    settings = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": LORA}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    mx.save_safetensors(str(folder / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    return model


def test_adapters_fit_every_form_of_the_base(written: Path, tmp_path: Path) -> None:
    """Made on the packed base, they do the same on the dense one and on the converted folder."""
    base, _ = load(stored(NAME), **FLOAT32)
    plain = base(TOKENS)
    model = adapted(base, tmp_path / "adapters")
    names = set(dict(tree_flatten(model.trainable_parameters())))
    assert {name.rpartition(".")[2] for name in names} == {"lora_a", "lora_b"}
    wanted, adapters = model(TOKENS), str(tmp_path / "adapters")
    assert distance(wanted, plain) > 1, "adapters that change nothing prove nothing"
    dense, _ = load(stored(NAME), target="dense", adapter_path=adapters, **FLOAT32)
    again, _ = load(written, adapter_path=adapters)
    for other in (dense, again):
        assert distance(other(TOKENS), wanted) < 1e-3


def test_what_reads_the_columns_as_they_stand_is_stopped(written: Path) -> None:
    """DoRA and dequantize_model read weight and scales past the layer."""
    model, _ = load(written)
    with pytest.raises(ValueError, match="inputs permuted"):
        mlx_lm.utils.dequantize_model(model)
    with pytest.raises(ValueError, match="inputs permuted"):
        linear_to_lora_layers(model, 2, LORA, use_dora=True)


@pytest.mark.parametrize("dequantize", [False, True])
def test_mlx_lm_fuses(dequantize: bool, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a dense model for plain mlx-lm, and into a packed one for ours, which has been quantised again."""
    from mlx_lm import fuse

    base, _ = load(written)
    model = adapted(base, tmp_path / "adapters")
    wanted, merged = model(TOKENS), tmp_path / "merged"
    command = ["fuse", "--model", written, "--adapter-path", tmp_path / "adapters", "--save-path", merged]
    monkeypatch.setattr(sys, "argv", [*map(str, command), *(["--dequantize"] if dequantize else [])])
    with enabled():
        fuse.main()
    if dequantize:
        fused, _ = mlx_lm.load(str(merged))
        assert not any(name.endswith((".scales", ".permutation")) for name in parameters(fused))
        assert distance(fused(TOKENS), wanted) < 1e-3
        return
    fused, _ = load(merged)
    layer = fused.layers[1].mlp.down_proj
    assert isinstance(layer, StandingPermutedLinear)
    assert mx.array_equal(layer.permutation, model.layers[1].mlp.down_proj.linear.permutation).item()
    # What LoRA would be on a base that is quantised anew in the same groups, by mlx-lm's own layers.
    lora = model.layers[1].mlp.down_proj
    weight = lora.fuse(dequantize=True).weight[:, layer.permutation]
    expected = mx.quantize(weight, group_size=layer.group_size, bits=layer.bits)
    found = mx.dequantize(layer.weight, layer.scales, layer.biases, layer.group_size, layer.bits)
    assert distance(found, mx.dequantize(*expected, layer.group_size, layer.bits)) < 1e-5
    with pytest.raises(TypeError, match="permuted"):
        mlx_lm.load(str(merged))


def test_caches_and_batches(written: Path) -> None:
    """A prompt in two parts through a cache, and two prompts at once, give what one prompt at a time gives."""
    from mlx_lm import batch_generate
    from mlx_lm.models.cache import make_prompt_cache

    model, tokenizer = load(written)
    whole, cache = model(TOKENS), make_prompt_cache(model)
    model(TOKENS[:, :5], cache=cache)
    assert distance(model(TOKENS[:, 5:], cache=cache), whole[:, 5:]) < 1e-4 * mx.abs(whole).max().item()
    prompts = [tokenizer.encode("A weight that has been quantised is"), tokenizer.encode("The codes of a")]
    together = batch_generate(model, tokenizer, prompts, max_tokens=8).texts
    alone = [batch_generate(model, tokenizer, [prompt], max_tokens=8).texts[0] for prompt in prompts]
    assert together == alone
    assert len(together[0]) > 8


def test_experts_that_mlx_lm_stacks_have_no_place_for_a_permutation(tmp_path: Path) -> None:
    def shuffle(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.endswith(".g_idx")]:
            tensors[name] = tensors[name].flip(0)

    write_mixtral(tmp_path / "source", shuffle)
    report = convert(tmp_path / "source", tmp_path / "out", target="affine", permute=True, progress=False)
    names = {f"model.layers.0.{name}" for name in SHAPES}
    experts = {name for name in names if ".experts." in name}
    assert set(report.dense) == set(report.not_affine) == experts
    assert set(report.permuted) == names - experts
    assert all("something other than one linear layer" in why for why in report.not_affine.values())
    # As auto has it, all are packed or none.
    assert convert(tmp_path / "source", tmp_path / "all", target="auto", permute=True, progress=False).target == "dense"
    mlx_lm.utils.load_model(tmp_path / "all")


def test_a_job_that_cannot_be_done_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        mlx_quant.load(stored(NAME), target="permuted")  # type: ignore[arg-type]
    assert caught.value.code == "bad-target"
