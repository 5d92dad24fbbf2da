"""compressed-tensors' configurations: which group a module has, what is noted, and what is refused with its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

import mlx_quant
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.errors import MalformedCheckpoint, QuantError

FIXTURES = Path(__file__).parents[2] / "fixtures"
MIXED = FIXTURES / "ct_packed/models/qwen2-ct-mixed-precision"
GROUP = {"targets": ["Linear"], "weights": {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False}}


def settings(**changes: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"a": GROUP}} | changes


def group(bits: int, *targets: str, **changes: Any) -> dict[str, Any]:
    return {"targets": list(targets), "weights": {"num_bits": bits, "strategy": "channel"}} | changes


def test_names_come_before_patterns_and_those_before_classes() -> None:
    found = schemes_of(
        settings(
            config_groups={
                "class": group(8, "Linear"),
                "late": group(7, r"re:.*proj"),
                "early": group(6, r"re:.*k_proj"),
                "name": group(5, "model.layers.0.self_attn.k_proj"),
                "embedding": group(3, "Embedding"),
            }
        )
    )
    of = {
        "model.layers.0.self_attn.k_proj": (5, "name"),
        "model.layers.1.self_attn.k_proj": (6, "early"),
        "model.layers.1.self_attn.q_proj": (7, "late"),
        "model.embed_tokens": (3, "embedding"),
        "lm_head": (8, "class"),
    }
    assert {name: found.scheme(name).bits for name in of} == {name: bits for name, (bits, _) in of.items()}
    assert {name: found.place(name) for name in of} == {name: f"config_groups: {key}" for name, (_, key) in of.items()}
    assert found.default.bits == 8


def test_a_pattern_matches_from_the_start_of_a_name() -> None:
    found = schemes_of(settings(config_groups={"a": group(8, "Linear"), "b": group(4, "re:self_attn")}))
    assert found.scheme("model.layers.0.self_attn.q_proj").bits == 8


@pytest.mark.parametrize(
    ("changes", "code", "place"),
    [
        ({"config_groups": {}}, "bad-config-value", "config_groups"),
        ({"config_groups": {"a": {"targets": "Linear"}}}, "bad-config-value", "config_groups: a: targets"),
        ({"config_groups": {"a": group(4, "re:(")}}, "bad-config-value", "config_groups: a"),
        ({"config_groups": {"a": group(4, "Linear", weights=None)}}, "not-quantized", "config_groups"),
        ({"format": "dense"}, "not-quantized", "format"),
        ({"format": "marlin-24"}, "unsupported-layout", "config_groups: a"),
        ({"format": "float-quantized"}, "unsupported-layout", "config_groups: a"),
        ({"format": "mixed-precision"}, "unsupported-layout", "config_groups: a"),
        ({"transform_config": {"config_groups": {"u": {}}}}, "unsupported-layout", "transform_config"),
        ({"sparsity_config": {"format": "sparse-24-bitmask"}}, "unsupported-layout", "sparsity_config"),
    ],
)
def test_refusals_name_their_place(changes: dict[str, Any], code: str, place: str) -> None:
    with pytest.raises(QuantError) as caught:
        schemes_of(settings(**changes))
    assert (caught.value.code, caught.value.where) == (code, place)


def test_what_is_not_followed_is_noted() -> None:
    activations = {"num_bits": 8, "strategy": "token", "dynamic": True}
    found = schemes_of(
        settings(config_groups={"a": GROUP | {"input_activations": activations}}, kv_cache_scheme=activations)
    )
    assert [note.split(";")[0] for note in found.default.notes] == [
        "the configuration quantises activations as well",
        "the configuration quantises the cache of keys and values",
    ]
    assert schemes_of(settings(sparsity_config={}, transform_config={})).default.notes == ()


def test_the_older_key_of_the_config_is_found(tmp_path: Path) -> None:
    shutil.copytree(MIXED, tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    config["compression_config"] = {"quantization_config": config.pop("quantization_config")}
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    opened = mlx_quant.Checkpoint.open(tmp_path / "model", candidates=True)
    assert opened.sources == ("config.json: compression_config",)
    assert len(opened.modules) == 14


def test_one_checkpoint_has_modules_of_two_packings() -> None:
    opened = mlx_quant.Checkpoint.open(MIXED, candidates=True)
    packings = {name.rpartition(".")[2]: module.scheme.packing for name, module in opened.modules.items()}
    assert packings["down_proj"] == "ct_int"
    assert packings["gate_proj"] == packings["q_proj"] == "ct_packed"


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
def test_every_width_has_a_native_form_of_the_same_codes(bits: int) -> None:
    words = mx.random.randint(0, 1 << 30, (8, bits * 2), dtype=mx.int32)
    tensors = {
        "weight_packed": words,
        "weight_scale": mx.ones((8, 2), dtype=mx.float16),
        "weight_shape": mx.array([8, 64], dtype=mx.int64),
    }
    weights = {"num_bits": bits, "strategy": "group", "group_size": 32, "symmetric": True}
    config = settings(config_groups={"a": {"targets": ["Linear"], "weights": weights}})
    found = mlx_quant.to_affine(config, tensors, candidates=True)
    assert found.bits == (8 if bits == 7 else bits)
    again = mx.dequantize(found.weight, found.scales, found.biases, found.group_size, found.bits)
    assert mx.array_equal(again, mlx_quant.dequantize(config, tensors, candidates=True)).item()


def test_padded_words_are_told_by_their_number() -> None:
    weights = {"num_bits": 5, "strategy": "channel"}
    config = settings(config_groups={"a": {"targets": ["Linear"], "weights": weights}})
    tensors = {
        "weight_packed": mx.zeros((4, 22), dtype=mx.int32),
        "weight_scale": mx.ones((4, 1), dtype=mx.float16),
        "weight_shape": mx.array([4, 128], dtype=mx.int64),
    }
    assert mlx_quant.dequantize(config, tensors, candidates=True).shape == (4, 128)
    with pytest.raises(MalformedCheckpoint, match="other words"):
        mlx_quant.dequantize(config, tensors | {"weight_packed": mx.zeros((4, 21), dtype=mx.int32)}, candidates=True)


def test_both_packings_are_enabled_by_their_evidence() -> None:
    listed = mlx_quant.formats()
    assert [listed[id].status for id in ("ct_packed", "ct_int")] == ["enabled", "enabled"]
