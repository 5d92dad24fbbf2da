"""What a conversion writes: every weight in bits, the files around them, and what it leaves out."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.utils
import mlx_lm
import numpy as np
import pytest
import torch
from safetensors import safe_open

import reference
from mlx_quant import (
    Checkpoint,
    ConversionError,
    MalformedCheckpoint,
    QuantError,
    QuantWarning,
    UnsupportedFormat,
    convert,
)
from tests.conftest import stored

PLAIN, QWEN = "llama-gptq-g128-seq-asym", "qwen2-gptq-g32-seq-asym"
Q_PROJ, O_PROJ = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj"
Copy = Callable[..., Any]


def bits(array: mx.array | torch.Tensor) -> np.ndarray:
    if isinstance(array, torch.Tensor):
        return array.contiguous().view(torch.uint8).numpy()
    return np.array(mx.contiguous(array).view(mx.uint8))


def written(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors through the index, read by a library that is not MLX."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    found = {}
    for name, file in index["weight_map"].items():
        with safe_open(folder / file, framework="pt") as shard:
            found[name] = shard.get_tensor(name)
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in found.values())
    return found


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def test_dense_weights_equal_the_reference_after_a_round_trip(packed_name: str, tmp_path: Path) -> None:
    report = convert(stored(packed_name), tmp_path / "out", progress=False)
    expected, found = reference.SUBJECT.load(stored(packed_name)), written(tmp_path / "out")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(bits(found[name]), bits(tensor), err_msg=name)
    assert len(report.dense) == 14
    model, tokenizer = mlx_lm.load(str(tmp_path / "out"))
    parameters = dict(mlx.utils.tree_flatten(model.parameters()))
    for name in (f"{Q_PROJ}.weight", "model.embed_tokens.weight"):
        np.testing.assert_array_equal(bits(parameters[name]), bits(expected[name]))
    assert tokenizer.decode(tokenizer.encode("the")) == "the"


@pytest.mark.parametrize("name", ["llama-awq-g128", "qwen2-awq-g32", PLAIN, "qwen2-gptq-gall-seq-sym"])
def test_affine_keeps_codes_and_loads_in_mlx_lm(name: str, tmp_path: Path) -> None:
    report = convert(stored(name), tmp_path / "out", target="affine", progress=False)
    assert len(report.affine) == 14
    assert not report.dense
    found, source = written(tmp_path / "out"), Checkpoint.open(stored(name))
    quantization = source.quantization_config
    for module in source.modules:
        leaves = {leaf: info for leaf, info in source.modules[module].tensors.items() if leaf != "bias"}
        tensors = {leaf: tensor_of(stored(name), info) for leaf, info in leaves.items()}
        expected = reference.unpack(quantization, tensors)
        words = found[f"{module}.weight"].view(torch.int32)
        codes = torch.stack([words >> shift & 15 for shift in range(0, 32, 4)], -1).reshape(words.shape[0], -1)
        assert torch.equal(codes, expected.q)
        repeats = found[f"{module}.scales"].shape[1] // expected.s.shape[0]
        scales = expected.s.T.repeat_interleave(repeats, 1)
        np.testing.assert_array_equal(bits(found[f"{module}.scales"]), bits(scales))
        biases = (-expected.z * expected.s.double()).to(expected.s.dtype).T.repeat_interleave(repeats, 1)
        np.testing.assert_array_equal(bits(found[f"{module}.biases"]), bits(biases))
    model, _ = mlx_lm.load(str(tmp_path / "out"))
    assert type(model.model.layers[0].mlp.up_proj).__name__ == "QuantizedLinear"
    assert model.model.layers[0].mlp.up_proj.group_size == config_of(tmp_path / "out")["quantization"]["group_size"]


def tensor_of(folder: Path, info: Any) -> torch.Tensor:
    with safe_open(folder / info.file, framework="pt") as shard:
        return shard.get_tensor(info.name)


def test_act_order_becomes_dense_in_an_affine_target_and_says_so(tmp_path: Path) -> None:
    name = "llama-gptq-g128-act-asym"
    with pytest.warns(QuantWarning, match="14 of 14"):
        report = convert(stored(name), tmp_path / "out", target="affine", progress=False)
    assert report.target == "affine"
    assert set(report.not_affine) == set(report.dense)
    assert all("act-order" in reason for reason in report.not_affine.values())
    assert "quantization" not in config_of(tmp_path / "out")
    expected = reference.SUBJECT.load(stored(name))[f"{Q_PROJ}.weight"]
    np.testing.assert_array_equal(bits(written(tmp_path / "out")[f"{Q_PROJ}.weight"]), bits(expected))
    mlx_lm.load(str(tmp_path / "out"))


def test_a_mixture_of_groups_forms_and_dense_modules(copy: Copy, tmp_path: Path) -> None:
    """Groups of 128, groups of 32, an act-order module and a skipped one, in one affine checkpoint."""
    source = copy(PLAIN)
    small, ordered, skipped = (f"model.layers.1.self_attn.{name}_proj" for name in "vok")
    generator = torch.Generator().manual_seed(2)
    q = torch.randint(0, 16, (128, 256), generator=generator, dtype=torch.int32)
    z = torch.randint(0, 16, (8, 128), generator=generator, dtype=torch.int32)
    s = torch.rand((8, 128), generator=generator).half()
    config = source.json()["quantization_config"]
    packed = reference.pack(config | {"group_size": 32}, q, z, s, torch.arange(256) // 32)

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({f"{small}.{leaf}": tensor for leaf, tensor in packed.items()})
        shuffled = torch.randperm(256, generator=generator)
        tensors[f"{ordered}.g_idx"] = tensors[f"{ordered}.g_idx"][shuffled]
        for leaf in ("qweight", "qzeros", "scales", "g_idx", "bias"):
            del tensors[f"{skipped}.{leaf}"]
        tensors[f"{skipped}.weight"] = torch.randn(128, 256, generator=generator).half()

    source.rewrite(change)
    source.requantize_config(dynamic={rf"{small}": {"group_size": 32}})
    with pytest.warns(QuantWarning, match="1 of 13"):
        report = convert(source.path, tmp_path / "out", target="affine", progress=False)
    assert report.dense == (ordered,)
    quantization = config_of(tmp_path / "out")["quantization"]
    assert (quantization["group_size"], quantization["bits"]) == (128, 4)
    assert quantization[small] == {"group_size": 32, "bits": 4, "mode": "affine"}
    model, _ = mlx_lm.load(str(tmp_path / "out"))
    attention = model.model.layers[1].self_attn
    kinds = {name: type(attention[f"{name}_proj"]).__name__ for name in "qkvo"}
    assert kinds == {"q": "QuantizedLinear", "k": "Linear", "v": "QuantizedLinear", "o": "Linear"}
    assert attention.v_proj.group_size == 32
    exact = (s.double().T[:, torch.arange(256) // 32] * (q - z.T[:, torch.arange(256) // 32])).numpy()
    layer = attention.v_proj
    params = [layer[key].astype(mx.float32) for key in ("scales", "biases")]
    got = np.array(mx.dequantize(layer.weight, *params, group_size=32, bits=4))
    # A bias -z * s in float16 is off by at most half a unit of 16, the largest magnitude it can have here.
    assert np.abs(got - exact).max() <= 2**-8


def test_shards_are_bounded_and_indexed(tmp_path: Path) -> None:
    report = convert(stored(PLAIN), tmp_path / "out", max_shard_bytes=500_000, progress=False)
    assert len(report.files) > 3
    count = len(report.files)
    assert report.files == tuple(f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1))
    for file in report.files:
        with safe_open(tmp_path / "out" / file, framework="np") as shard:
            sizes = [math.prod(shard.get_slice(name).get_shape()) * 2 for name in shard.keys()]
        assert sum(sizes) <= 500_000
    assert written(tmp_path / "out").keys() == reference.SUBJECT.load(stored(PLAIN)).keys()
    assert report.nbytes == sum(tensor.nbytes for tensor in written(tmp_path / "out").values())
    mlx_lm.load(str(tmp_path / "out"))


def test_sidecars_stay_behind_and_the_rest_comes_along(copy: Copy, tmp_path: Path) -> None:
    source = copy("qwen2-awq-g128")
    for name in ("quantize_config.json", "quant_config.json"):
        source.write_json(source.json()["quantization_config"], name)
    source.write_json({"temperature": 0.5}, "generation_config.json")
    (source.path / "chat_template.jinja").write_text("{{ messages }}")
    (source.path / "README.md").write_text("quantised")
    (source.path / "LICENSE").write_text("terms")
    convert(source.path, tmp_path / "out", progress=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "chat_template.jinja",
        "LICENSE",
    }
    assert "quantization_config" not in config_of(tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (source.path / "tokenizer.json").read_bytes()


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 512}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 12345.0}},
            {"rope_theta": 12345.0, "rope_parameters": {"rope_type": "default", "rope_theta": 12345.0}},
        ),
        (
            {"rope_theta": 12345.0},
            {"rope_theta": 12345.0, "rope_parameters": {"rope_type": "default", "rope_theta": 12345.0}},
        ),
        (
            {"rope_theta": None, "rope_parameters": LLAMA3 | {"rope_type": "llama3", "rope_theta": 5e5}},
            {"rope_theta": 5e5, "rope_scaling": LLAMA3 | {"rope_type": "llama3", "type": "llama3"}},
        ),
        (
            {"rope_theta": 5e5, "rope_scaling": LLAMA3 | {"type": "llama3"}},
            {"rope_theta": 5e5, "rope_parameters": LLAMA3 | {"rope_type": "llama3", "rope_theta": 5e5}},
        ),
        ({"torch_dtype": None, "dtype": "float16"}, {"torch_dtype": "float16", "dtype": "float16"}),
        ({"torch_dtype": "torch.float16"}, {"torch_dtype": "float16", "dtype": "float16"}),
    ],
)
def test_both_spellings_of_rope_and_dtype(copy: Copy, tmp_path: Path, keys: Any, expected: Any) -> None:
    source = copy(PLAIN)
    source.configure(**keys)
    convert(source.path, tmp_path / "out", progress=False)
    config = config_of(tmp_path / "out")
    assert {key: config[key] for key in expected} == expected
    model, _ = mlx_lm.load(str(tmp_path / "out"))
    if "rope_scaling" not in expected and "rope_scaling" not in keys:
        assert model.model.layers[0].self_attn.rope.base == config["rope_theta"]


def test_transformers_reads_the_dense_output_whole(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    convert(stored("qwen2-gptq-g128-act-sym"), tmp_path / "out", progress=False)
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto", output_loading_info=True)
    assert not any(info.values())
    assert model.dtype == torch.bfloat16
    assert model.config.rope_parameters["rope_theta"] == 10000.0
    expected = reference.SUBJECT.load(stored("qwen2-gptq-g128-act-sym"))
    assert torch.equal(model.model.layers[1].mlp.down_proj.weight, expected["model.layers.1.mlp.down_proj.weight"])


def test_two_thetas_are_a_contradiction(copy: Copy, tmp_path: Path) -> None:
    source = copy(PLAIN)
    source.configure(rope_theta=10000.0, rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    with pytest.raises(MalformedCheckpoint, match="rope_theta"):
        convert(source.path, tmp_path / "out", progress=False)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_dtype_that_is_asked_for_is_rounded_once_and_goes_everywhere(tmp_path: Path, dtype: str) -> None:
    convert(stored(QWEN), tmp_path / "out", dtype=dtype, progress=False)
    kind, found, source = getattr(torch, dtype), written(tmp_path / "out"), Checkpoint.open(stored(QWEN))
    assert {tensor.dtype for tensor in found.values()} == {kind}
    assert config_of(tmp_path / "out")["torch_dtype"] == config_of(tmp_path / "out")["dtype"] == dtype
    for name, module in source.modules.items():
        tensors = {leaf: tensor_of(stored(QWEN), info) for leaf, info in module.tensors.items()}
        expected = reference.dequantize(source.quantization_config, tensors, dtype=kind)
        np.testing.assert_array_equal(bits(found[f"{name}.weight"]), bits(expected))
    norm = tensor_of(stored(QWEN), source.plain["model.norm.weight"])
    np.testing.assert_array_equal(bits(found["model.norm.weight"]), bits(norm.to(kind)))


def test_plain_tensors_keep_their_dtype_and_a_mixture_is_noted(tmp_path: Path) -> None:
    report = convert(stored("qwen2-awq-g32"), tmp_path / "out", progress=False)
    found = written(tmp_path / "out")
    assert found["model.norm.weight"].dtype == torch.bfloat16
    assert found[f"{Q_PROJ}.weight"].dtype == torch.float16
    assert any("float32" in note for note in report.notes)


def test_a_dtype_too_narrow_for_a_tensor_is_refused(copy: Copy, tmp_path: Path) -> None:
    source = copy("qwen2-gptq-g128-act-sym")
    source.rewrite(lambda tensors: tensors["model.norm.weight"].fill_(1e6))
    with pytest.raises(ConversionError) as caught:
        convert(source.path, tmp_path / "out", dtype=mx.float16, progress=False)
    assert (caught.value.code, caught.value.where) == ("overflow", "model.norm.weight")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_zero_biases_go_only_where_the_architecture_has_none(copy: Copy, tmp_path: Path) -> None:
    """Qwen2 has biases on q, k and v and not on o; AutoGPTQ stores one for each of them."""
    source = copy(QWEN)
    source.rewrite(lambda tensors: tensors[f"{Q_PROJ}.bias"].zero_())
    report = convert(source.path, tmp_path / "out", progress=False)
    found = written(tmp_path / "out")
    assert f"{Q_PROJ}.bias" in found
    assert not found[f"{Q_PROJ}.bias"].any()
    assert f"{O_PROJ}.bias" not in found
    assert set(report.dropped) == {
        f"model.layers.{layer}.{module}.bias"
        for layer in (0, 1)
        for module in ("self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    }
    mlx_lm.load(str(tmp_path / "out"))


def test_a_config_that_gives_the_architecture_biases_keeps_them(copy: Copy, tmp_path: Path) -> None:
    source = copy(PLAIN)
    source.configure(attention_bias=True)
    source.rewrite(lambda tensors: tensors[f"{O_PROJ}.bias"].fill_(0.25))
    report = convert(source.path, tmp_path / "out", progress=False)
    assert torch.equal(written(tmp_path / "out")[f"{O_PROJ}.bias"], torch.full((256,), 0.25).half())
    assert len(report.dropped) == 6


def refused(kind: type[QuantError], code: str, where: str, *args: Any, **options: Any) -> None:
    with pytest.raises(kind) as caught:
        convert(*args, progress=False, **options)
    assert caught.value.code == code
    assert where in str(caught.value)


def test_a_real_bias_that_the_architecture_lacks_is_an_error(copy: Copy, tmp_path: Path) -> None:
    source = copy(PLAIN)
    source.rewrite(lambda tensors: tensors[f"{O_PROJ}.bias"][7:8].fill_(-1e-4))
    refused(MalformedCheckpoint, "unsupported-bias", f"{O_PROJ}.bias", source.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_bias_and_a_foreign_tensor_are_errors(copy: Copy, tmp_path: Path) -> None:
    source = copy(QWEN)
    source.rewrite(lambda tensors: tensors.pop(f"{Q_PROJ}.bias"))
    refused(MalformedCheckpoint, "missing-tensor", f"{Q_PROJ}.bias", source.path, tmp_path / "out")
    source = copy(PLAIN, "other")
    source.rewrite(lambda tensors: tensors.update({"model.norm.bias": torch.zeros(256).half()}))
    refused(UnsupportedFormat, "unsupported-architecture", "model.norm.bias", source.path, tmp_path / "out")


def test_a_config_of_another_size_is_an_error(copy: Copy, tmp_path: Path) -> None:
    source = copy(PLAIN)
    source.configure(intermediate_size=1024)
    refused(UnsupportedFormat, "unsupported-architecture", "1024", source.path, tmp_path / "out")


@pytest.mark.parametrize("why", ["no mlx-lm", "no such model"])
def test_every_bias_stays_where_the_architecture_is_unknown(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    source = copy(PLAIN)
    if why == "no mlx-lm":
        monkeypatch.setitem(sys.modules, "mlx_lm", None)
        monkeypatch.setitem(sys.modules, "mlx_lm.utils", None)
    else:
        source.configure(model_type="llama-of-the-future")
    report = convert(source.path, tmp_path / "out", progress=False)
    assert not report.dropped
    assert not written(tmp_path / "out")[f"{O_PROJ}.bias"].any()
    assert any("every bias is kept" in note for note in report.notes)


@pytest.mark.parametrize("target", ["dense", "affine"])
def test_a_packed_head_beside_tied_embeddings_is_left_out(copy: Copy, tmp_path: Path, target: Any) -> None:
    source = copy("qwen2-gptq-gall-seq-sym")

    def change(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["lm_head.weight"]
        for leaf in ("qweight", "qzeros", "scales", "g_idx"):
            tensors[f"lm_head.{leaf}"] = tensors[f"model.layers.0.mlp.up_proj.{leaf}"].clone()

    source.rewrite(change)
    report = convert(source.path, tmp_path / "out", target=target, progress=False)
    assert "tie_word_embeddings" in report.dropped["lm_head"]
    assert not any(name.startswith("lm_head") for name in written(tmp_path / "out"))
    mlx_lm.load(str(tmp_path / "out"))


def test_a_packed_head_of_its_own_is_kept(copy: Copy, tmp_path: Path) -> None:
    source = copy(PLAIN)

    def change(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["lm_head.weight"]
        for leaf in ("qweight", "qzeros", "scales", "g_idx"):
            tensors[f"lm_head.{leaf}"] = tensors[f"model.layers.0.mlp.up_proj.{leaf}"].clone()

    source.rewrite(change)
    report = convert(source.path, tmp_path / "out", target="affine", progress=False)
    assert "lm_head" in report.affine
    model, _ = mlx_lm.load(str(tmp_path / "out"))
    assert type(model.lm_head).__name__ == "QuantizedLinear"
    assert mx.array_equal(model.lm_head.weight, model.model.layers[0].mlp.up_proj.weight).item()
