"""Configurations of public checkpoints, as they were read: which of them the core takes, and why not the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlx_quant import Checkpoint, UnsupportedFormat
from mlx_quant.dialects.registry import beside, schemes_of
from tests.checkpoint import wild

PAGE = Path(__file__).parents[2] / "docs/in-the-wild.md"
_ROWS = Counter(fact["family"] for fact in wild.FACTS)
_TAKEN = Counter(fact["family"] for fact in wild.FACTS if "refused" not in fact)


@cache
def _by_name(start: str) -> Mapping[str, Any]:
    (found,) = (fact for fact in wild.FACTS if fact["name"].startswith(start))
    return found


@pytest.mark.parametrize("fact", wild.FACTS, ids=lambda fact: fact["name"])
@pytest.mark.filterwarnings("ignore::mlx_quant.QuantWarning")
def test_it_is_taken_or_refused_for_the_reason_given(fact: Mapping[str, Any], tmp_path: Path) -> None:
    packed = wild.write(fact, tmp_path / "folder")
    refused = fact.get("refused")
    if refused:
        with pytest.raises(UnsupportedFormat) as caught:
            Checkpoint.open(tmp_path / "folder")
        assert caught.value.code == refused["code"]
        assert refused["reason"]
        return
    opened = Checkpoint.open(tmp_path / "folder")
    assert packed
    assert sorted(opened.modules) == sorted(packed)
    assert opened.dequantize(packed[0]).shape == opened.modules[packed[0]].shape


def test_at_least_85_in_100_of_what_is_packed_are_taken() -> None:
    packed = [fact for fact in wild.FACTS if not fact["family"].startswith("ONNX")]
    taken = [fact for fact in packed if "refused" not in fact]
    assert len(packed) >= 100
    assert len({fact["name"] for fact in packed}) == len(packed)
    assert all(fact["read"] for fact in packed)
    assert len(taken) / len(packed) >= 0.85


def test_the_page_counts_what_is_here() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines() if "|" in line
    ]
    counted = {row[0]: (int(row[1]), int(row[2])) for row in rows if len(row) == 5 and row[1].isdigit()}
    total = counted.pop("all packed")
    assert counted == {family: (_ROWS[family], _TAKEN[family]) for family in _ROWS if not family.startswith("ONNX")}
    assert total == tuple(map(sum, zip(*counted.values(), strict=True)))


def test_biases_are_kept_where_the_configuration_says_that_there_are_none(tmp_path: Path) -> None:
    fact = _by_name("Qwen/Qwen-VL-Chat-Int4")
    said = fact["settings"]["config.json: quantization_config"]
    fact = dict(fact) | {"settings": {"config.json: quantization_config": said | {"no_bias": True}}}
    name = wild.write(fact, tmp_path / "folder", biased=True)[0]
    assert "bias" in Checkpoint.open(tmp_path / "folder").modules[name].tensors


def test_shards_under_several_names_are_one_checkpoint(tmp_path: Path) -> None:
    packed = wild.write(_by_name("Qwen3.5-2B-AutoRound-W4A16"), tmp_path / "folder")
    wild.split(
        tmp_path / "folder",
        ("model-00001.safetensors", "model-shard-00001.safetensors", "model_extra_tensors.safetensors"),
    )
    opened = Checkpoint.open(tmp_path / "folder")
    assert len(opened.shards) == 3
    assert sorted(opened.modules) == sorted(packed)
    rules = opened.quantization_config["extra_config"]
    assert any(name.startswith("-:") or rule.get("bits") == 16 for name, rule in rules.items())


def test_parameters_called_scale_that_scale_no_weight_stay_plain(tmp_path: Path) -> None:
    layer = "model.language_model.layers.0"
    names = (f"{layer}.router.scale", f"{layer}.router.per_expert_scale", f"{layer}.layer_scalar", f"{layer}.scale")
    fact = dict(_by_name("nvidia/Gemma-4-26B-A4B-NVFP4"))
    fact["settings"] = _by_name("moonshotai/Kimi-K2-Thinking")["settings"]
    wild.write(fact, tmp_path / "folder", more=names)
    opened = Checkpoint.open(tmp_path / "folder")
    assert {*names} <= opened.plain.keys()
    assert not any("router" in name for name in opened.modules)
    assert any(".experts." in name and "weight_packed" in module.tensors for name, module in opened.modules.items())


def test_what_is_left_dense_without_a_rule_is_seen_from_its_tensors(tmp_path: Path) -> None:
    fact = _by_name("Lorbus/Qwen3.6-27B-int4-AutoRound")
    wild.write(fact, tmp_path / "folder")
    opened = Checkpoint.open(tmp_path / "folder")
    assert not any("in_proj_a" in name for name in opened.modules)
    assert any(name.endswith("in_proj_a.weight") for name in opened.plain)


def test_a_mixture_in_one_object_leaves_the_others_their_method() -> None:
    fact = _by_name("nvidia/DeepSeek-V4-Flash-NVFP4")
    said = beside(fact["settings"]["config.json: quantization_config"], "fp8")
    found = schemes_of(said)
    expert, other = found.scheme("layers.0.ffn.experts.7.w2"), found.scheme("layers.0.attn.wkv")
    assert (expert.dialect, expert.packing) == ("modelopt", "nvfp4")
    assert found.place("layers.0.ffn.experts.7.w2") == "quantized_layers: layers.0.ffn.experts"
    assert (other.dialect, other.packing, other.block) == ("fp8", "fp8", (128, 128))
    assert found.scheme("layers.0.ffn.experts_of_another.w2").packing == "fp8"


@pytest.mark.parametrize("name", ["deepseek-ai/DeepSeek-V4-Flash", "sgl-project/DeepSeek-V4-Flash-FP8"])
def test_codes_say_which_of_deepseeks_experts_are_of_four_bits(name: str, tmp_path: Path) -> None:
    fact = _by_name(name)
    wild.write(fact, tmp_path / "folder", more=("layers.0.hc_attn.scale", "lm_head.scale"))
    opened = Checkpoint.open(tmp_path / "folder")
    experts = {module.scheme.packing for name, module in opened.modules.items() if ".experts." in name}
    others = {module.scheme.packing for name, module in opened.modules.items() if ".experts." not in name}
    assert (experts, others) == ({"mxfp4" if "beside" in fact else "fp8"}, {"fp8"})
    assert {"layers.0.hc_attn.scale", "lm_head.scale", "lm_head.weight"} <= opened.plain.keys()


@pytest.mark.parametrize(
    ("start", "where", "message"),
    [
        ("a gte-small in ONNX", "config.json", "quantize_config.json is of ONNX files"),
        ("Qwen3-1.7B-Base-AutoRound-NVFP4", "data_type", "llm_compressor's own format"),
        ("a Qwen3-32B with rotations", "online-rotate", "without rotations"),
    ],
)
def test_a_refusal_names_what_is_there_and_what_to_do(start: str, where: str, message: str, tmp_path: Path) -> None:
    wild.write(_by_name(start), tmp_path / "folder")
    with pytest.raises(UnsupportedFormat) as caught:
        Checkpoint.open(tmp_path / "folder")
    assert where in str(caught.value.where)
    assert message in caught.value.message
