"""An open checkpoint: what its headers say of it, and every module in bits against the reference."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch

import reference
from mlx_quant import Checkpoint, MalformedCheckpoint, QuantWarning, convert, dequantize
from mlx_quant.cli.inspection import inspect
from tests.conftest import stored

PLAIN = "llama-gptq-g128-seq-asym"
Copy = Callable[..., Any]
GROUPS = {"g32": 32, "g128": 128, "gall": -1}


def bits(array: mx.array | torch.Tensor) -> np.ndarray:
    if isinstance(array, torch.Tensor):
        return array.contiguous().view(torch.uint8).numpy()
    return np.array(mx.contiguous(array).view(mx.uint8))


def unpacked(folder: Path, checkpoint: Checkpoint, name: str) -> reference.Unpacked:
    """The reference's decode of one module, from the file and the config as they are on disk."""
    from safetensors import safe_open

    tensors = {}
    for leaf, info in checkpoint.modules[name].tensors.items():
        with safe_open(folder / info.file, framework="pt") as shard:
            tensors[leaf] = shard.get_tensor(info.name)
    return reference.unpack(json.loads((folder / "config.json").read_text())["quantization_config"], tensors)


def test_opening_reads_no_tensor(packed_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx, "load", lambda *_, **__: pytest.fail("read a tensor"))
    checkpoint = Checkpoint.open(stored(packed_name))
    assert len(checkpoint.modules) == 14
    module = checkpoint.modules["model.layers.1.mlp.down_proj"]
    assert (module.out_features, module.in_features) == (256, 512)
    assert module.scheme.group_size == next(GROUPS[part] for part in packed_name.split("-") if part in GROUPS)
    assert checkpoint.warnings == []


@pytest.mark.filterwarnings("error::mlx_quant.QuantWarning")
def test_every_module_equals_the_reference(packed_name: str) -> None:
    checkpoint = Checkpoint.open(stored(packed_name))
    for name in checkpoint.modules:
        expected = unpacked(stored(packed_name), checkpoint, name)
        np.testing.assert_array_equal(bits(checkpoint.dequantize(name)), bits(expected.dense()))
    assert checkpoint.warnings == []


def test_affine_keeps_codes_and_scales() -> None:
    checkpoint = Checkpoint.open(stored(PLAIN))
    for name in checkpoint.modules:
        expected, found = unpacked(stored(PLAIN), checkpoint, name), checkpoint.affine(name)
        codes = (found.weight[..., None] >> mx.arange(0, 32, 4, dtype=mx.uint32)) & 15
        np.testing.assert_array_equal(np.array(codes).reshape(found.weight.shape[0], -1), expected.q.numpy())
        np.testing.assert_array_equal(bits(found.scales), bits(expected.s.T))
        np.testing.assert_array_equal(bits(found.biases), bits((-(expected.z * expected.s.float())).T.half()))


def test_plain_tensors_and_biases() -> None:
    checkpoint = Checkpoint.open(stored("qwen2-gptq-g32-seq-asym"))
    assert set(checkpoint.plain) == {
        "lm_head.weight",
        "model.embed_tokens.weight",
        "model.norm.weight",
        *(f"model.layers.{n}.{norm}_layernorm.weight" for n in (0, 1) for norm in ("input", "post_attention")),
    }
    assert all("bias" in module.tensors for module in checkpoint.modules.values())


def test_a_tensor_can_be_read_twice() -> None:
    checkpoint = Checkpoint.open(stored(PLAIN))
    first, second = (checkpoint.tensor("model.norm.weight") for _ in range(2))
    assert mx.array_equal(first, second).item()
    with pytest.raises(KeyError):
        checkpoint.tensor("model.norm.bias")


def test_a_module_split_over_two_shards(copy: Copy) -> None:
    source = copy(PLAIN)
    source.shard(lambda name: "b.safetensors" if name.endswith(("scales", "g_idx")) else "a.safetensors")
    checkpoint = Checkpoint.open(source.path)
    assert checkpoint.shards == ("a.safetensors", "b.safetensors")
    whole = Checkpoint.open(stored(PLAIN))
    for name in checkpoint.modules:
        assert {info.file for info in checkpoint.modules[name].tensors.values()} == {"a.safetensors", "b.safetensors"}
        expected = unpacked(stored(PLAIN), whole, name).dense()
        np.testing.assert_array_equal(bits(checkpoint.dequantize(name)), bits(expected))


def test_more_shards_than_may_be_open_at_once(copy: Copy) -> None:
    source = copy(PLAIN)
    source.shard(lambda name: f"part-{sum(name.encode()) % 9}.safetensors")
    checkpoint, whole = Checkpoint.open(source.path), Checkpoint.open(stored(PLAIN))
    assert len(checkpoint.shards) == 9
    for name in checkpoint.modules:
        np.testing.assert_array_equal(bits(checkpoint.dequantize(name)), bits(whole.dequantize(name)))


def test_decoy_shards_are_ignored_and_reported(copy: Copy) -> None:
    source = copy("qwen2-awq-g128")
    decoy = {"model.norm.weight": torch.zeros(256), "model.layers.0.mlp.up_proj.weight": torch.zeros(512, 256)}
    from safetensors.torch import save_file

    save_file(decoy, source.path / "model.safetensors")
    checkpoint = Checkpoint.open(source.path)
    assert checkpoint.ignored_files == ("model.safetensors",)
    assert "model.safetensors" in checkpoint.warnings[0]
    assert not mx.array_equal(checkpoint.tensor("model.norm.weight"), mx.zeros(256)).item()


def test_one_file_of_any_name_and_one_named_by_the_config(copy: Copy) -> None:
    source = copy(PLAIN)
    source.weights.rename(source.path / "anything.safetensors")
    assert Checkpoint.open(source.path).shards == ("anything.safetensors",)
    (source.path / "other.safetensors").write_bytes((source.path / "anything.safetensors").read_bytes())
    with pytest.raises(MalformedCheckpoint) as caught:
        Checkpoint.open(source.path)
    assert caught.value.code == "missing-file"
    source.requantize_config(model_file_base_name="other")
    assert Checkpoint.open(source.path).shards == ("other.safetensors",)


def test_dynamic_overrides_are_followed_module_by_module(copy: Copy) -> None:
    """One module packed in other groups than the rest: only the override makes its shapes right."""
    source = copy(PLAIN)
    name = "model.layers.1.self_attn.v_proj"
    generator = torch.Generator().manual_seed(1)
    q = torch.randint(0, 16, (128, 256), generator=generator, dtype=torch.int32)
    z = torch.randint(0, 16, (8, 128), generator=generator, dtype=torch.int32)
    s = torch.rand((8, 128), generator=generator).half()
    index = torch.arange(256) // 32
    config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False}
    tensors = reference.pack(config, q, z, s, index)
    source.rewrite(lambda all_: all_.update({f"{name}.{leaf}": tensor for leaf, tensor in tensors.items()}))
    with pytest.raises(MalformedCheckpoint) as caught:
        Checkpoint.open(source.path)
    assert caught.value.code == "bad-shape"
    assert name in str(caught.value)
    source.requantize_config(dynamic={"+:.*v_proj": {"group_size": 128}, r".*layers\.1\..*": {"group_size": 32}})
    with pytest.raises(MalformedCheckpoint):
        Checkpoint.open(source.path)
    source.requantize_config(dynamic={r".*layers\.1\.self_attn\.v_proj": {"group_size": 32}})
    checkpoint = Checkpoint.open(source.path)
    expected = reference.dequantize(config, tensors)
    np.testing.assert_array_equal(bits(checkpoint.dequantize(name)), bits(expected))
    assert checkpoint.modules["model.layers.0.self_attn.v_proj"].scheme.group_size == 128


def test_tensors_decide_what_is_packed(copy: Copy) -> None:
    """A skipped module and a quantised lm_head, with a config that says the opposite of both."""
    source, whole = copy(PLAIN), Checkpoint.open(stored(PLAIN))
    dense = unpacked(stored(PLAIN), whole, "model.layers.0.mlp.up_proj").dense()

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for leaf in ("qweight", "qzeros", "scales", "g_idx", "bias"):
            tensors.pop(f"model.layers.0.mlp.up_proj.{leaf}")
            tensors[f"lm_head.{leaf}"] = tensors[f"model.layers.0.mlp.gate_proj.{leaf}"].clone()
        tensors["model.layers.0.mlp.up_proj.weight"] = dense
        del tensors["lm_head.weight"]

    source.rewrite(change)
    source.requantize_config(modules_to_not_convert=["lm_head"], dynamic={"-:lm_head": {}}, lm_head=False)
    checkpoint = Checkpoint.open(source.path)
    assert "lm_head" in checkpoint.modules
    assert "model.layers.0.mlp.up_proj.weight" in checkpoint.plain
    head = unpacked(stored(PLAIN), whole, "model.layers.0.mlp.gate_proj").dense()
    np.testing.assert_array_equal(bits(checkpoint.dequantize("lm_head")), bits(head))


def fill_zeros(word: int) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if name.endswith("qzeros"):
                tensor.fill_(word - (1 << 32) if word >= 1 << 31 else word)

    return change


@pytest.mark.parametrize("sym", [True, None])
def test_symmetric_data_corrects_a_wrong_label(copy: Copy, sym: bool | None) -> None:
    """Eights under the label gptq are what gptq_v2 stores for the zero point 8; the weights must not move."""
    name = "qwen2-gptq-gall-seq-sym"
    source, intact = copy(name), Checkpoint.open(stored(name))
    source.rewrite(fill_zeros(0x88888888))
    source.requantize_config(sym=sym)
    checkpoint = Checkpoint.open(source.path)
    with pytest.warns(QuantWarning, match="decoded by the data") as caught:
        found = {module: checkpoint.dequantize(module) for module in checkpoint.modules}
    for module, array in found.items():
        np.testing.assert_array_equal(bits(array), bits(unpacked(stored(name), intact, module).dense()))
    assert len(caught) == 1
    assert len(checkpoint.warnings) == 1
    assert "13 more" in checkpoint.warnings[0]


def test_v1_data_labelled_v2_are_decoded_by_the_data_and_real_v2_without_a_word(copy: Copy) -> None:
    name = "qwen2-gptq-gall-seq-sym"
    source, module = copy(name), "model.layers.0.mlp.up_proj"
    source.requantize_config(checkpoint_format="gptq_v2")
    with pytest.warns(QuantWarning, match="gptq_v2"):
        found = Checkpoint.open(source.path).dequantize(module)
    expected = unpacked(stored(name), Checkpoint.open(stored(name)), module).dense()
    np.testing.assert_array_equal(bits(found), bits(expected))
    source.rewrite(fill_zeros(0x88888888))
    checkpoint = Checkpoint.open(source.path)
    np.testing.assert_array_equal(bits(checkpoint.dequantize(module)), bits(expected))
    assert checkpoint.warnings == []


def test_an_asymmetric_label_is_trusted_but_suspected(copy: Copy) -> None:
    source, module = copy(PLAIN), "model.layers.0.mlp.up_proj"
    source.rewrite(fill_zeros(0x88888888))
    source.requantize_config(sym=False)
    checkpoint = Checkpoint.open(source.path)
    with pytest.warns(QuantWarning, match="decoded as labelled"):
        found = checkpoint.dequantize(module)
    np.testing.assert_array_equal(bits(found), bits(unpacked(source.path, checkpoint, module).dense()))


def test_sym_with_differing_zero_points_is_suspected(copy: Copy) -> None:
    source, module = copy(PLAIN), "model.layers.0.mlp.up_proj"
    source.requantize_config(sym=True)
    checkpoint = Checkpoint.open(source.path)
    with pytest.warns(QuantWarning, match="zero points differ"):
        found = checkpoint.dequantize(module)
    np.testing.assert_array_equal(bits(found), bits(unpacked(source.path, checkpoint, module).dense()))


def test_files_without_g_idx_and_symmetric_ones_without_qzeros(copy: Copy) -> None:
    name = "qwen2-gptq-gall-seq-sym"
    source, intact = copy(name), Checkpoint.open(stored(name))
    source.rewrite(lambda all_: [all_.pop(key) for key in list(all_) if key.endswith(("g_idx", "qzeros"))])
    checkpoint = Checkpoint.open(source.path)
    for module in checkpoint.modules:
        expected = unpacked(stored(name), intact, module).dense()
        np.testing.assert_array_equal(bits(checkpoint.dequantize(module)), bits(expected))


@pytest.mark.parametrize("stored_zero", [7, 8])
@pytest.mark.parametrize("label", ["gptq", "gptq_v2"])
@pytest.mark.parametrize("sym", [True, False, None])
def test_every_door_gives_one_weight(
    copy: Copy, tmp_path: Path, sym: bool | None, label: str, stored_zero: int
) -> None:
    """Where label and data part, whoever asks is given the same weights: dequantize, an open checkpoint, convert."""
    source, module = copy("qwen2-gptq-gall-seq-sym"), "model.layers.0.mlp.up_proj"
    source.rewrite(fill_zeros(stored_zero * 0x11111111))
    source.requantize_config(sym=sym, checkpoint_format=label)
    checkpoint = Checkpoint.open(source.path)
    config = source.json()["quantization_config"]
    tensors = {leaf: checkpoint.tensor(info.name) for leaf, info in checkpoint.modules[module].weight_tensors.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantWarning)
        opened = checkpoint.dequantize(module)
        report = convert(source.path, tmp_path / "out", progress=False)
    written = mx.load(str(tmp_path / "out" / report.files[0]))[f"{module}.weight"]
    expected = bits(dequantize(config, tensors))
    np.testing.assert_array_equal(bits(opened), expected)
    np.testing.assert_array_equal(bits(written), expected)


def test_a_module_is_examined_once_by_inspect_and_decoded_once_more_by_convert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    decode = Checkpoint.decode
    monkeypatch.setattr(Checkpoint, "decode", lambda self, name: calls.append(name) or decode(self, name))
    inspect(stored(PLAIN))
    assert len(calls) == len(set(calls)) == 14
    calls.clear()
    convert(stored(PLAIN), tmp_path / "out", target="affine", progress=False)
    assert len(calls) == 2 * len(set(calls)) == 28


def test_a_short_last_group_is_no_act_order(copy: Copy) -> None:
    """256 inputs in groups of 96: consecutive, and the last of 64."""
    source = copy(PLAIN)
    name = "model.layers.0.self_attn.q_proj"

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[f"{name}.g_idx"] = torch.arange(256, dtype=torch.int32) // 96
        for leaf in ("scales", "qzeros"):
            tensors[f"{name}.{leaf}"] = tensors[f"{name}.{leaf}"][:1].repeat(3, 1)

    source.rewrite(change)
    source.requantize_config(dynamic={name: {"group_size": 96}})
    examined = Checkpoint.open(source.path).examine(name)
    assert not examined.act_order
    assert examined.not_native is not None
    assert "unequal sizes" in examined.not_native
