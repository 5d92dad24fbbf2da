"""What AutoRound's configurations say of each module, in the spellings of its versions."""

from __future__ import annotations

from typing import Any

import pytest

from mlx_quant import MalformedCheckpoint, QuantError, UnsupportedFormat
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
        ({"packing_format": "auto_round:llm_compressor"}, "packing_format"),
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
