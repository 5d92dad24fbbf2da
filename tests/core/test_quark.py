"""AMD Quark in the core: patterns of names, types of weights, hostile settings, and MLX's packed form."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

import mlx_quant
from mlx_quant import Checkpoint, QuantError
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.dialects.schemes import Schemes

FIXTURES = Path(__file__).parents[2] / "fixtures"
MIXED = FIXTURES / "quark_int/models/qwen2-quark-mixed"
VECTORS = [FIXTURES / f"quark_int/vectors/amd-quark-0.13{part}" for part in ("", "-twos")]


def weight(dtype: str = "uint4", qscheme: str = "per_group", group_size: Any = 32, **changes: Any) -> dict[str, Any]:
    return {"dtype": dtype, "qscheme": qscheme, "group_size": group_size} | changes


def config(own: Any, layers: Any = None, **changes: Any) -> dict[str, Any]:
    return {
        "quant_method": "quark",
        "global_quant_config": {"weight": own},
        "layer_quant_config": layers or {},
    } | changes


def read(own: Any, layers: Any = None, **changes: Any) -> Schemes:
    return schemes_of(config(own, layers, **changes))


def test_the_first_pattern_that_fits_a_name_decides() -> None:
    layers = {
        "*.layers.[01].*_proj": {"weight": None, "input_tensors": weight("int8", "per_tensor")},
        "*.k_proj": {"weight": weight("int8", "per_channel", None)},
        "*.layers.?.self_attn.*": {"weight": weight("fp8_e4m3", "per_tensor", None)},
        "*.gate": {"weight": [weight("fp4", scale_format="e8m0")]},
    }
    schemes = read(weight(), layers)
    found = {name: schemes.scheme(f"model.layers.0.{name}") for name in ("self_attn.k_proj", "self_attn.q_proj")}
    assert (found["self_attn.k_proj"].packing, found["self_attn.k_proj"].layout) == ("quark_int", "int-reorder")
    assert (found["self_attn.q_proj"].packing, found["self_attn.q_proj"].layout) == ("fp8", "quark")
    assert schemes.scheme("model.layers.10.self_attn.q_proj") == schemes.default
    assert schemes.scheme("model.layers.3.mlp.gate").packing == "mxfp4"
    assert schemes.place("model.layers.3.mlp.gate") == "layer_quant_config: *.gate"
    assert schemes.place("model.layers.3.mlp.up_proj") is None
    assert any("activations" in note for note in schemes.default.notes)


def test_types_of_classes_come_before_the_global_one() -> None:
    by_type = {"<class 'torch.nn.modules.linear.Linear'>": {"weight": weight("int8", "per_channel", None)}}
    assert read(weight(), layer_type_quant_config=by_type).scheme("x").bits == 8


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (config(None), "not-quantized"),
        (config(weight("int3")), "unsupported-layout"),
        (config(weight("uint2", "per_tensor", None)), "unsupported-layout"),
        (config(weight("uint2", zero_point_type="float32")), "unsupported-layout"),
        (config([weight("fp8_e4m3", "per_tensor"), weight("int4")]), "unsupported-layout"),
        (config([]), "bad-config-value"),
        (config(7), "bad-config-value"),
        (config(weight(group_size=None)), "bad-config-value"),
        (config(weight(group_size=2.5)), "bad-config-value"),
        (config(weight(), layers=[1]), "bad-config-value"),
        (config(weight(), layers={"*": None}), "bad-config-value"),
        (config(weight(), export=3), "bad-config-value"),
        (config(weight(), export={"pack_method": "tiled"}), "unsupported-layout"),
        (config(weight(ch_axis=0)), "unsupported-layout"),
        (config(weight(ch_axis=True)), "unsupported-layout"),
        (config(weight(qscheme="per_block")), "unsupported-layout"),
        (config(weight("fp8_e4m3", "per_block", block_size=[0, 3])), "bad-config-value"),
        (config(weight("fp8_e4m3")), "unsupported-layout"),
        (config(weight("fp4", scale_format="float")), "unsupported-layout"),
        (config(weight("fp4", group_size=16, scale_format="e8m0")), "unsupported-layout"),
        (config(weight()) | {"global_quant_config": 5}, "bad-config-value"),
        (config(weight(), layers={"a" * 30_000: {"weight": weight()}}), "bad-config-value"),
    ],
)
def test_settings_are_refused_by_what_is_wrong_with_them(made: dict[str, Any], code: str) -> None:
    with pytest.raises(QuantError) as caught:
        schemes_of(made)
    assert caught.value.code == code, caught.value


def test_codes_in_mlx_are_those_that_were_packed() -> None:
    """Upstream's weights of every integer vector that MLX's groups hold, by way of the packed form in float32."""
    tensors, cases, asked = {}, [], 0
    for stem in VECTORS:
        tensors |= mx.load(f"{stem}.safetensors")
        cases += json.loads(Path(f"{stem}.json").read_text())["cases"]
    for case in cases:
        prefix = f"{case['id']}/"
        own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
        due = own.pop("expected.forward")
        if case["shape"][1] % 32 or case["config"]["global_quant_config"]["weight"]["group_size"] in (12, 20):
            continue
        affine = mlx_quant.to_affine(case["config"], own, params_dtype=mx.float32)
        made = mx.dequantize(affine.weight, affine.scales, affine.biases, affine.group_size, affine.bits)
        assert affine.bits == int(case["config"]["global_quant_config"]["weight"]["dtype"][-1])
        if due.dtype != mx.float32:  # of which a product with nine bits is exact, and one more rounding the last
            assert mx.array_equal(made.astype(due.dtype), due).item(), case["id"]
        asked += 1
    assert asked > 40


@pytest.mark.parametrize(("packing", "cases"), [("fp8", 5), ("mxfp4", 2)])
def test_floats_are_what_quark_multiplies_by(packing: str, cases: int) -> None:
    """Every vector of them, bit for bit, against the operand of the product in Quark's own layer."""
    stem = FIXTURES / packing / "vectors/amd-quark-0.13"
    tensors, index = mx.load(f"{stem}.safetensors"), json.loads(Path(f"{stem}.json").read_text())["cases"]
    for case in index:
        prefix = f"{case['id']}/"
        own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
        due = own.pop("expected.forward")
        assert schemes_of(case["config"]).default.packing == packing
        found = mlx_quant.dequantize(case["config"], own)
        assert found.dtype == due.dtype
        assert mx.array_equal(found.view(mx.uint16), due.view(mx.uint16)).item(), case["id"]
    assert len(index) == cases


def test_what_quark_writes_under_other_methods() -> None:
    """As FP8 with one scale a matrix; as AWQ with codes that have a sign, which AWQ's do not."""
    exported = {"quant_method": "fp8", "ignored_layers": ["lm_head"], "export": {"pack_method": "reorder"}}
    codes = mx.arange(126, dtype=mx.uint8).reshape(2, 63)
    made = mlx_quant.dequantize(exported, {"weight": codes, "weight_scale": mx.array(0.5, mx.bfloat16)})
    assert mx.array_equal(made, mx.from_fp8(codes, mx.bfloat16) * 0.5).item()
    awq = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "pack_method": "reorder"}
    assert schemes_of(awq | {"zero_point": True}).default.packing == "awq_gemm"
    for changes in ({"zero_point": False}, {"zero_point": True, "pack_method": "order"}):
        with pytest.raises(QuantError, match="AMD Quark") as caught:
            schemes_of(awq | changes)
        assert caught.value.code == "unsupported-layout"


@pytest.mark.parametrize("beyond", [-3, 2, 1 << 30])
def test_a_word_holds_no_other_number_than_int2_has(beyond: int) -> None:
    made = config(weight("int2"))
    tensors = {
        "weight": mx.array([[-2, -1, 0, 1]] * 32, mx.int32),
        "weight_scale": mx.array([[0.5, 0.25, 1, 2]], mx.float16),
        "weight_zero_point": mx.array([[1, 0, 0, -2]], mx.int32),
    }
    found = mlx_quant.dequantize(made, tensors)
    assert found[:, 0].tolist() == [-1.5, -0.25, 0, 6]
    for name in ("weight", "weight_zero_point"):
        spoilt = mx.array(tensors[name])
        spoilt[0, 2] = beyond
        with pytest.raises(QuantError, match="int2 has -2 to 1") as caught:
            mlx_quant.dequantize(made, tensors | {name: spoilt})
        assert caught.value.code == "unsupported-layout"


def test_a_real_checkpoint_has_all_of_it() -> None:
    checkpoint = Checkpoint.open(MIXED)
    packings = {module.rpartition(".")[2]: found.scheme.packing for module, found in checkpoint.modules.items()}
    assert packings == dict.fromkeys(("q_proj", "k_proj", "o_proj", "gate_proj", "down_proj"), "quark_int") | {
        "v_proj": "fp8",
        "up_proj": "mxfp4",
    }
    assert checkpoint.modules["model.layers.0.self_attn.k_proj"].dtype == mx.float32


def test_scales_of_another_shape_name_what_is_wrong(tmp_path: Path) -> None:
    shutil.copytree(MIXED, tmp_path / "source")
    tensors = mx.load(str(tmp_path / "source/model.safetensors"))
    name = "model.layers.0.mlp.gate_proj.weight_scale"
    tensors[name] = tensors[name].T
    mx.save_safetensors(str(tmp_path / "source/model.safetensors"), tensors)
    with pytest.raises(QuantError, match="256 inputs in groups of 32") as caught:
        Checkpoint.open(tmp_path / "source")
    assert caught.value.code == "bad-shape"
