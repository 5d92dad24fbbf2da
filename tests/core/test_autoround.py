"""What AutoRound's configurations say of each module, in the spellings of its versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import MalformedCheckpoint, QuantError, UnsupportedFormat, dequantize, to_native
from mlx_quant.dialects.registry import method_of, schemes_of, stated
from mlx_quant.dialects.schemes import Schemes

CONFIG: dict[str, Any] = {
    "quant_method": "auto-round",
    "bits": 4,
    "group_size": 32,
    "sym": False,
    "data_type": "int",
    "autoround_version": "0.16.1",
    "packing_format": "auto_round",
}


def schemes(**changes: Any) -> Schemes:
    return schemes_of(CONFIG | changes)


@pytest.mark.parametrize("method", ["auto-round", "intel/auto-round", "auto_round", "Intel/Auto-Round"])
def test_its_method_in_every_spelling(method: str) -> None:
    assert method_of(CONFIG | {"quant_method": method}) == "auto-round"


@pytest.mark.parametrize(
    ("label", "packing", "layout"),
    [
        ("auto_round", "gptq", "gptq_v2"),
        ("auto-round", "gptq", "gptq_v2"),
        ("auto_round:gptqmodel", "gptq", "gptq_v2"),
        ("auto_round:auto_gptq", "gptq", "gptq"),
        ("auto_round:gptq", "gptq", "gptq"),
        ("AUTO_ROUND:AUTO_GPTQ", "gptq", "gptq"),
        ("auto", "gptq", "gptq"),
        (None, "gptq", "gptq"),
        ("auto_round:auto_awq", "awq_gemm", "gemm"),
        ("auto_round:awq", "awq_gemm", "gemm"),
    ],
)
def test_the_label_says_packing_and_zero_points(label: str | None, packing: str, layout: str) -> None:
    found = schemes(packing_format=label).default
    assert (found.dialect, found.packing, found.layout) == ("auto-round", packing, layout)
    assert found.producer == ("autoround", (0, 16, 1))


@pytest.mark.parametrize(
    ("backend", "layout"),
    [
        ("auto_round:exllamav2", "gptq_v2"),
        ("autoround:exllamav2", "gptq_v2"),
        ("auto_round:triton", "gptq_v2"),
        ("auto_round:gptq:exllamav2", "gptq"),
        ("auto_round:gptq", "gptq"),
        ("auto", "gptq"),
        ("gptqmodel:exllamav2", "gptq"),
    ],
)
def test_versions_before_0_5_say_it_in_backend(backend: str, layout: str) -> None:
    config = {key: value for key, value in CONFIG.items() if key != "packing_format"} | {"backend": backend}
    assert schemes_of(config).default.layout == layout


def test_packing_format_outranks_backend() -> None:
    assert schemes(backend="auto_round:gptq:exllamav2").default.layout == "gptq_v2"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"packing_format": "auto_round:llm_compressor_nvfp4_e5m3"}, "packing_format"),
        ({"packing_format": "auto_round:llm_compressor"}, "data_type"),
        ({"packing_format": "auto_round:llm_compressor", "data_type": "nv_fp"}, "data_type"),
        ({"packing_format": "auto_round:llm_compressor", "data_type": "nvfp4_v2"}, "data_type"),
        ({"packing_format": "auto_round:llm_compressor", "data_type": "mx_int"}, "data_type"),
        ({"packing_format": "auto_round:llm_compressor", "data_type": "mx_fp", "bits": 6}, "data_type"),
        ({"rotation_config": {"hadamard_type": "random_hadamard"}}, "rotation_config"),
        ({"spinquant_config": {"r1": True}}, "spinquant_config"),
        ({"packing_format": "auto_round:fp8_static"}, "packing_format"),
        ({"packing_format": "auto_round:fake"}, "packing_format"),
        ({"packing_format": "auto_round:mlx"}, "packing_format"),
        ({"packing_format": "never_heard_of"}, "packing_format"),
        ({"data_type": "mx_fp"}, "data_type"),
        ({"data_type": "nv_fp4"}, "data_type"),
        ({"data_type": "fp8"}, "data_type"),
    ],
)
def test_what_holds_no_integers_is_refused_by_name(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        schemes(**changes)
    assert (caught.value.code, caught.value.where) == ("unsupported-layout", where)


RULES = {
    ".*down_proj.*": {"bits": 8, "group_size": 64},
    "model.layers.1.mlp.down_proj": {"bits": 2, "sym": None},
    "q_proj": {"sym": True},
    "layers.0.*": {"bits": 6},
    "model.layers.3.self_attn.o_proj": {"bits": 16},
    "(": {"bits": 3},
    "lm_head": {},
}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("model.layers.0.mlp.down_proj", (8, 64, False)),  # the first pattern that is found
        ("model.layers.1.mlp.down_proj", (2, 32, False)),  # a full name wins; null says nothing
        ("model.layers.0.self_attn.q_proj", (4, 32, True)),  # found anywhere in a name
        ("model.layers.0.self_attn.k_proj", (6, 32, False)),
        ("model.layers.3.self_attn.o_proj", (4, 32, False)),  # left dense by the rule, packed all the same
        ("model.layers.3.self_attn.v_proj", (4, 32, False)),
        ("lm_head", (4, 32, False)),
    ],
)
def test_rules_give_modules_settings_of_their_own(module: str, expected: tuple[int, int, bool]) -> None:
    found = schemes(extra_config=RULES).scheme(module)
    assert (found.bits, found.group_size, found.sym) == expected


def test_the_place_of_a_rule_is_known() -> None:
    rules = schemes(extra_config=RULES, dynamic={r"-:.*in_proj_[ab].*": {}, r"+:.*v_proj": {"bits": 8}})
    assert rules.place("model.layers.1.mlp.down_proj") == "extra_config: model.layers.1.mlp.down_proj"
    assert rules.place("model.layers.0.mlp.down_proj") == "extra_config: .*down_proj.*"
    assert rules.place("model.layers.0.linear_attn.in_proj_a") is None
    assert rules.place("model.layers.9.self_attn.v_proj") == "dynamic: +:.*v_proj"
    assert rules.scheme("model.layers.9.self_attn.v_proj").bits == 8


@pytest.mark.parametrize(
    ("rules", "kind", "where"),
    [
        ([], None, ""),
        (["x"], MalformedCheckpoint, "extra_config"),
        ({"q_proj": 4}, MalformedCheckpoint, "extra_config: q_proj"),
        ({"q_proj": {"bits": "4"}}, MalformedCheckpoint, "extra_config: q_proj"),
        ({"q_proj": {"data_type": "mx_fp"}}, UnsupportedFormat, "extra_config: q_proj"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(rules: Any, kind: type[QuantError] | None, where: str) -> None:
    if kind is None:
        assert schemes(extra_config=rules).scheme("q_proj").bits == 4
        return
    with pytest.raises(kind) as caught:
        schemes(extra_config=rules).scheme("q_proj")
    assert caught.value.where == where


def test_two_files_of_a_checkpoint_agree_in_every_spelling() -> None:
    one, two = CONFIG, CONFIG | {"packing_format": "auto-round", "quant_method": "intel/auto-round"}
    assert stated(one, "auto-round") == stated(two, "auto-round")
    assert stated(one, "auto-round") != stated(CONFIG | {"packing_format": "auto_round:auto_gptq"}, "auto-round")


FLOATS = {
    "quant_method": "auto-round",
    "packing_format": "auto_round:llm_compressor",
    "data_type": "mx_fp",
    "group_size": 32,
    "sym": True,
    "act_bits": 4,
}
_VECTORS = Path(__file__).parent / "data/autoround-floats-0.16.1.safetensors"


@pytest.mark.parametrize("bits", [4, 8])
def test_floats_of_powers_of_two_are_what_autoround_s_own_layer_reads(bits: int) -> None:
    vectors = mx.load(str(_VECTORS))
    assert isinstance(vectors, dict)
    names = [name for name in vectors if name.startswith(f"mxfp{bits}/")]
    tensors = {name.partition("/")[2]: vectors[name] for name in names}
    expected = np.array(tensors.pop("expected"))
    config = FLOATS | {"bits": bits}
    dense = np.array(dequantize(config, tensors, dtype=mx.float32))
    assert np.array_equal(dense.view(np.uint32), expected.view(np.uint32))
    native = to_native(config, tensors)
    assert (native.mode, native.group_size) == (f"mxfp{bits}", 32)


def test_other_groups_of_such_floats_are_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="groups of 32") as caught:
        schemes_of(FLOATS | {"bits": 4, "group_size": 16})
    assert caught.value.code == "unsupported-group-size"


def test_a_rule_may_widen_them_and_what_quantises_activations_is_said() -> None:
    found = schemes_of(FLOATS | {"bits": 4, "extra_config": {"lm_head": {"bits": 8}, "visual": {"bits": 16}}})
    assert (found.default.packing, found.scheme("lm_head").packing) == ("mxfp4", "fp8")
    assert any("activations" in note for note in found.default.notes)
    assert not schemes_of(FLOATS | {"bits": 4, "act_bits": 16}).default.notes
