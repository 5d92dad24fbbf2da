"""Which scheme a checkpoint's JSON files say, and what is refused before any weight is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlx_quant import MalformedCheckpoint, QuantError, Scheme, UnsupportedFormat, formats
from mlx_quant.checkpoint.sources import Detected, detect
from mlx_quant.dialects import gptq
from mlx_quant.dialects.registry import REFUSED
from mlx_quant.dialects.schemes import Schemes
from mlx_quant.files.folder import Folder

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}
MODEL = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


@pytest.fixture
def found(tmp_path: Path) -> Any:
    def detected(**files: Any) -> Detected:
        for stem, value in files.items():
            (tmp_path / f"{stem}.json").write_text(value if isinstance(value, str) else json.dumps(value))
        return detect(Folder(tmp_path))

    return detected


def refusal(found: Any, kind: type[QuantError], code: str, **files: Any) -> QuantError:
    with pytest.raises(kind) as caught:
        found(**files)
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize(
    "files",
    [
        {"config": MODEL | {"quantization_config": AWQ}},
        {"config": {"text_config": MODEL | {"quantization_config": AWQ}}},
        {"config": MODEL, "quantize_config": AWQ},
        {"config": MODEL, "quant_config": {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}},
        {
            "config": MODEL,
            "quant_config": {"method": "AWQ", "wbits": 4, "groupsize": 128, "format": "gemm", "sym": False},
        },
    ],
)
def test_the_same_scheme_in_every_place_and_spelling(found: Any, files: dict[str, Any]) -> None:
    assert found(**files).scheme == Scheme("awq", "awq_gemm", 4, 128, "gemm", sym=False)


def test_a_sidecar_without_a_method_is_autogptq(found: Any) -> None:
    old = {"bits": 4, "group_size": 64, "damp_percent": 0.01, "desc_act": True, "sym": False, "true_sequential": True}
    scheme = found(config=MODEL, quantize_config=old).scheme
    assert (scheme.method, scheme.bits, scheme.group_size, scheme.sym, scheme.desc_act) == ("gptq", 4, 64, False, True)


def test_one_file_fills_in_what_another_leaves_out(found: Any) -> None:
    short = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    result = found(config=MODEL | {"quantization_config": short}, quantize_config=GPTQ | {"model_name_or_path": None})
    assert (result.scheme.sym, result.scheme.desc_act) == (True, False)
    assert result.sources == ("config.json: quantization_config", "quantize_config.json")


@pytest.mark.parametrize(
    ("config", "sidecar"),
    [
        (GPTQ, GPTQ | {"damp_percent": 0.1, "static_groups": False, "checkpoint_format": None}),
        (GPTQ | {"checkpoint_format": "gptq"}, GPTQ | {"format": "GPTQ"}),
        (AWQ, {"w_bit": 4, "q_group_size": 128, "version": "GEMM", "zero_point": True, "unknown": 1}),
    ],
)
def test_differences_that_mean_the_same_are_tolerated(found: Any, config: Any, sidecar: Any) -> None:
    name = "quant_config" if config is AWQ else "quantize_config"
    assert found(config=MODEL | {"quantization_config": config}, **{name: sidecar}).scheme.bits == 4


@pytest.mark.parametrize(
    ("sidecar", "field"),
    [
        (GPTQ | {"bits": 8}, "bits"),
        (GPTQ | {"group_size": 32}, "group_size"),
        (GPTQ | {"sym": False}, "sym"),
        (GPTQ | {"desc_act": True}, "desc_act"),
        (GPTQ | {"quant_method": "awq"}, "quant_method"),
        (GPTQ | {"checkpoint_format": "marlin"}, "checkpoint_format"),
        (GPTQ | {"is_marlin_format": True}, "checkpoint_format"),
    ],
)
def test_a_contradiction_names_both_files_and_the_key(found: Any, sidecar: Any, field: str) -> None:
    config = MODEL | {"quantization_config": GPTQ | {"checkpoint_format": "gptq"}}
    error = refusal(found, MalformedCheckpoint, "config-contradiction", config=config, quantize_config=sidecar)
    assert error.where == field
    assert "quantize_config.json" in str(error)
    assert "config.json: quantization_config" in str(error)


def test_a_contradiction_inside_one_mapping_is_refused(found: Any) -> None:
    config = MODEL | {"quantization_config": AWQ | {"w_bit": 8}}
    refusal(found, MalformedCheckpoint, "config-contradiction", config=config)


@pytest.mark.parametrize(
    ("files", "kind", "code", "said"),
    [
        ({}, MalformedCheckpoint, "missing-file", "config.json"),
        ({"adapter_config": {}}, MalformedCheckpoint, "missing-file", "base model"),
        ({"config": "{"}, MalformedCheckpoint, "bad-file", "config.json"),
        ({"config": "[]"}, MalformedCheckpoint, "bad-file", "list"),
        ({"config": MODEL | {"quantization_config": "gptq"}}, MalformedCheckpoint, "bad-config-value", "'gptq'"),
        (
            {"config": MODEL | {"quantization_config": GPTQ | {"bits": "4"}}},
            MalformedCheckpoint,
            "bad-config-value",
            "'4'",
        ),
        (
            {"config": MODEL | {"quantization_config": GPTQ | {"group_size": 0}}},
            MalformedCheckpoint,
            "bad-config-value",
            "0",
        ),
        ({"config": MODEL}, UnsupportedFormat, "not-quantized", "mlx_lm"),
        (
            {"config": MODEL | {"quantization": {"group_size": 64, "bits": 4}}},
            UnsupportedFormat,
            "mlx-native",
            "mlx_lm.load",
        ),
        ({"config": MODEL, "hf_quant_config": {"producer": {}}}, UnsupportedFormat, "unsupported-layout", "quant_algo"),
    ],
)
def test_refused_with_what_was_found(found: Any, files: Any, kind: Any, code: str, said: str) -> None:
    assert said in str(refusal(found, kind, code, **files))


@pytest.mark.parametrize("method", [*sorted(REFUSED), "quip_sharp", "fp_quant", "never-heard-of"])
def test_other_methods_are_refused_by_name_without_needing_their_keys(found: Any, method: str) -> None:
    config = MODEL | {"quantization_config": {"quant_method": method}}
    error = refusal(found, UnsupportedFormat, "unsupported-method", config=config)
    name = method.replace("_", "-")
    assert name in str(error)
    assert REFUSED.get(name, "never heard of") in str(error)
    assert "gptq" in str(error)


@pytest.mark.parametrize(
    ("quantization", "layout"),
    [
        (AWQ | {"version": "exllama"}, "exllama"),
        (AWQ | {"version": "ipex"}, "ipex"),
        (AWQ | {"version": "gemm_v3"}, "gemm_v3"),
        (GPTQ | {"format": "bitblas"}, "bitblas"),
        (GPTQ | {"format": "gemm"}, "gemm"),
    ],
)
def test_other_layouts_are_refused(found: Any, quantization: Any, layout: str) -> None:
    config = MODEL | {"quantization_config": quantization}
    error = refusal(found, UnsupportedFormat, "unsupported-layout", config=config)
    assert repr(layout) in str(error)
    assert "What to do" in str(error)


@pytest.mark.parametrize(
    ("quantization", "packing", "layout"),
    [
        (AWQ | {"version": "GEMV"}, "awq_gemv", "gemv"),
        (AWQ | {"version": "gemv_fast"}, "awq_gemv_fast", "gemv_fast"),
        (AWQ | {"version": "GEMVFast"}, "awq_gemv_fast", "gemv_fast"),
        (AWQ | {"version": "gemv-fast"}, "awq_gemv_fast", "gemv_fast"),
        (AWQ | {"version": None, "format": "gemv_fast"}, "awq_gemv_fast", "gemv_fast"),
        # The backend says who packed it; transformers names a version beside it.
        (AWQ | {"version": "gemv", "backend": "llm-awq"}, "awq_gemv_fast", "llm-awq"),
        (AWQ | {"version": "MARLIN", "zero_point": False}, "gptq_marlin", "awq_marlin"),
        (AWQ | {"bits": 8}, "awq_gemm", "gemm_natural"),
        (AWQ | {"bits": 8, "version": "gemv"}, "awq_gemv", "gemv"),
    ],
)
def test_awqs_label_chooses_the_packing(found: Any, quantization: Any, packing: str, layout: str) -> None:
    scheme = found(config=MODEL | {"quantization_config": quantization}).scheme
    assert (scheme.packing, scheme.layout) == (packing, layout)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("key", ["format", "checkpoint_format"])
def test_gptqs_label_chooses_the_packing(found: Any, key: str, bits: int) -> None:
    config = MODEL | {"quantization_config": GPTQ | {key: "GPTQ_P", "bits": bits}}
    assert (found(config=config).scheme.packing, found(config=config).scheme.layout) == ("gptq_planar", "gptq_p")


@pytest.mark.parametrize(
    "said",
    [{"bits": 4}, {"wbits": 4}, {"wbits": 4, "bits": 4, "format": "QQQ"}, {"bits": 4, "checkpoint_format": "qqq"}],
)
def test_qqq_is_known_by_its_method_alone(found: Any, said: Any) -> None:
    scheme = found(config=MODEL | {"quantization_config": {"quant_method": "QQQ", "group_size": 128} | said}).scheme
    assert (scheme.dialect, scheme.packing, scheme.bits, scheme.group_size) == ("qqq", "qqq", 4, 128)
    assert "activations" in scheme.notes[0]


@pytest.mark.parametrize(
    ("said", "packing", "word"),
    [
        ({"pack_dtype": "int8"}, "gptq_narrow", 8),
        ({"pack_dtype": "INT16", "format": "gptq_v2"}, "gptq_narrow", 16),
        ({"pack_dtype": "int32"}, "gptq", 32),
        ({"pack_dtype": None}, "gptq", 32),
        ({"pack_dtype": "int8", "format": "gptq_p"}, "gptq_planar", 8),
    ],
)
def test_gptqs_words_choose_the_packing(found: Any, said: Any, packing: str, word: int) -> None:
    scheme = found(config=MODEL | {"quantization_config": GPTQ | said}).scheme
    assert (scheme.packing, scheme.word) == (packing, word)


def test_files_that_name_different_words_contradict_each_other(found: Any) -> None:
    config = MODEL | {"quantization_config": GPTQ | {"pack_dtype": "int8"}}
    sidecar = GPTQ | {"pack_dtype": "int16"}
    error = refusal(found, MalformedCheckpoint, "config-contradiction", config=config, quantize_config=sidecar)
    assert "pack_dtype" in str(error)


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ("int64", UnsupportedFormat, "unsupported-dtype"),
        ("int4", MalformedCheckpoint, "bad-config-value"),
        (8, MalformedCheckpoint, "bad-config-value"),
    ],
)
def test_words_that_nobody_writes_are_refused(said: Any, kind: type[QuantError], code: str) -> None:
    with pytest.raises(kind) as caught:
        gptq.schemes(GPTQ | {"pack_dtype": said})
    assert (caught.value.code, caught.value.where) == (code, "pack_dtype")


@pytest.mark.parametrize("said", [{"format": "marlin"}, {"checkpoint_format": "Marlin"}, {"is_marlin_format": True}])
def test_tiles_are_known_by_each_of_their_labels(found: Any, said: Any) -> None:
    scheme = found(config=MODEL | {"quantization_config": GPTQ | said}).scheme
    assert (scheme.packing, scheme.layout) == ("gptq_marlin", "marlin")


@pytest.mark.parametrize("bits", [5, 6, 7])
@pytest.mark.parametrize("label", ["gptq", "gptq_v2"])
def test_a_width_that_gptqmodel_has_in_planes_alone_wants_their_label(found: Any, label: str, bits: int) -> None:
    config = MODEL | {"quantization_config": GPTQ | {"checkpoint_format": label, "bits": bits}}
    error = refusal(found, UnsupportedFormat, "unsupported-bits", config=config)
    assert "gptq_p" in str(error)


def overrides(dynamic: Any) -> Schemes:
    return gptq.schemes(GPTQ | {"dynamic": dynamic})


def test_the_first_dynamic_rule_that_matches_decides() -> None:
    rules = overrides(
        {
            r"-:.*layers\.0\..*": {},
            r"+:.*\.down_proj": {"group_size": 32, "desc_act": True},
            r".*layers\.1\..*": {"group_size": 64},
            r".*\.q_proj": {"sym": False},
        }
    )
    seen = {
        name: rules.scheme(f"model.layers.{name}") for name in ("0.down_proj", "1.down_proj", "1.up_proj", "2.up_proj")
    }
    assert {name: (scheme.group_size, scheme.desc_act) for name, scheme in seen.items()} == {
        "0.down_proj": (128, False),
        "1.down_proj": (32, True),
        "1.up_proj": (64, False),
        "2.up_proj": (128, False),
    }
    assert rules.scheme("model.layers.3.q_proj").sym is False


def test_dynamic_patterns_match_from_the_start_of_the_name() -> None:
    rules = overrides({"layers": {"group_size": 32}})
    assert rules.scheme("model.layers.0.q_proj").group_size == 128
    assert rules.scheme("layers.0.q_proj").group_size == 32


@pytest.mark.parametrize("dynamic", [{"(": {"bits": 4}}, {".*": 4}, [".*"]])
def test_dynamic_rules_that_cannot_be_read_are_refused(dynamic: Any) -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        overrides(dynamic)
    assert caught.value.code == "bad-config-value"


@pytest.mark.parametrize(
    ("kind", "values", "code"),
    [
        (UnsupportedFormat, {"format": "bitblas"}, "unsupported-layout"),
        (MalformedCheckpoint, {"bits": "4"}, "bad-config-value"),
        (MalformedCheckpoint, {"group_size": 0}, "bad-config-value"),
    ],
)
def test_dynamic_rules_that_cannot_be_followed_are_refused_where_they_match(kind: Any, values: Any, code: str) -> None:
    rules = overrides({"lm_head": values})
    assert rules.scheme("model.layers.0.q_proj").bits == 4
    with pytest.raises(kind) as caught:
        rules.scheme("lm_head")
    assert (caught.value.code, caught.value.where) == (code, "dynamic: lm_head")


def test_the_place_of_a_rule_is_known() -> None:
    rules = overrides({r"+:.*\.q_proj": {"bits": 8}, "-:.*k_proj": {}})
    assert rules.place("model.q_proj") == r"dynamic: +:.*\.q_proj"
    assert rules.place("model.k_proj") == "dynamic: -:.*k_proj"
    assert rules.place("model.v_proj") is None


def test_formats_lists_what_is_decoded_and_what_is_refused() -> None:
    listed = formats()
    assert {name for name, status in listed.items() if status.status == "enabled"} == {
        "aqlm",
        "vptq",
        "bitnet",
        "awq_gemm",
        "awq_gemv",
        "awq_gemv_fast",
        "bnb_4bit",
        "bnb_int8",
        "ct_int",
        "ct_packed",
        "fp8",
        "fp8_parts",
        "gemma_quant",
        "gptq",
        "gptq_marlin",
        "gptq_narrow",
        "gptq_planar",
        "hqq",
        "metal",
        "modelopt_int4",
        "mxfp4",
        "nvfp4",
        "paroquant",
        "qqq",
        "quanto_int4",
        "quanto_int8",
        "quark_int",
        "sinq",
        "torchao_int8",
        "torchao_mx",
    }
    assert (listed["gptq"].layouts, listed["awq_gemm"].bits) == (("gptq", "gptq_v2"), (2, 3, 4, 5, 6, 7, 8))
    assert all(status.reason for status in listed.values())
    assert listed["higgs"].status == "refused"
    assert not listed["higgs"].bits
