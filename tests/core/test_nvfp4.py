"""NVFP4 by its headers and its two scales: what is a module, how its scales combine, what MLX's mode holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch

from mlx_quant import MalformedCheckpoint, QuantError, UnsupportedFormat, dequantize, to_native
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.files.folder import TensorInfo
from mlx_quant.packings import fp8, nvfp4

MODELOPT = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
Headers = Mapping[str, tuple[str, tuple[int, ...]]]
OURS: Headers = {"weight": ("U8", (24, 48)), "weight_scale": ("F8_E4M3", (24, 6)), "weight_scale_2": ("F32", ())}
FINITE = [code for code in range(256) if code & 0x7F != 0x7F]


def compressed(form: str = "nvfp4-pack-quantized", **changes: Any) -> dict[str, Any]:
    weights = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, **changes}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups}


def infos(headers: Headers) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, dtype, shape, "a.safetensors") for name, (dtype, shape) in headers.items()}


def every_pair() -> dict[str, mx.array]:
    """Every code in a row for every finite scale, under ModelOpt's names."""
    codes = np.broadcast_to(np.arange(0, 16, 2) | np.arange(1, 16, 2) << 4, (len(FINITE), 8)).astype(np.uint8)
    return {"weight": mx.array(codes), "weight_scale": mx.array(np.array(FINITE, np.uint8)[:, None])}


def divided(tensors: Mapping[str, mx.array], whole: float) -> dict[str, mx.array]:
    """The same under compressed-tensors' names."""
    found = {"weight_packed": tensors["weight"], "weight_scale": tensors["weight_scale"]}
    return found | {"weight_global_scale": mx.array([whole], mx.float32)}


def bits(array: mx.array) -> Any:
    return np.array(array.view(mx.uint16 if array.dtype.size == 2 else mx.uint32))


def refusal(config: Mapping[str, Any], tensors: Mapping[str, mx.array]) -> QuantError:
    with pytest.raises(QuantError) as found:
        dequantize(config, tensors)
    return found.value


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        (OURS, True),
        ({**OURS, "weight": ("U8", (24, 96))}, False),
        ({**OURS, "weight_scale": ("F32", (24, 6))}, False),
        ({**OURS, "weight_scale": ("F8_E4M3", ())}, False),
        ({name: header for name, header in OURS.items() if name != "weight_scale_2"}, False),
        ({}, False),
    ],
)
def test_what_is_recognised(headers: Headers, is_ours: bool) -> None:
    assert nvfp4.recognises(infos(headers)) == is_ours


def test_headers_alone_give_the_shape_of_a_stack() -> None:
    headers = {"weight": ("U8", (4, 24, 48)), "weight_scale": ("F8_E4M3", (4, 24, 6)), "weight_scale_2": ("F32", (4,))}
    found = nvfp4.measure(schemes_of(MODELOPT).default, infos(headers))
    assert (found.experts, found.out_features, found.in_features, found.dtype) == (4, 24, 96, mx.bfloat16)


@pytest.mark.parametrize("dtype", [mx.bfloat16, mx.float16, mx.float32], ids=str)
@pytest.mark.parametrize("whole", [1.0, 0.00012345679, 3.3e-36, 2.7e34])
def test_both_definitions_in_torch_s_own_arithmetic(whole: float, dtype: mx.Dtype) -> None:
    """torch on its own floats of 8 bits, in the order of the two upstream readers."""
    other = {mx.bfloat16: torch.bfloat16, mx.float16: torch.float16, mx.float32: torch.float32}[dtype]
    scales = torch.tensor(FINITE, dtype=torch.uint8).view(torch.float8_e4m3fn).to(torch.float32)[:, None]
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
    unsigned = torch.where(values == 0, 0.0, values)
    number, tensors = torch.tensor(whole, dtype=torch.float32), every_pair()
    found = dequantize(MODELOPT, tensors | {"weight_scale_2": mx.array(whole)}, dtype=dtype)
    due = (unsigned * (scales * number)).to(other)
    assert np.array_equal(
        bits(found), due.view(torch.int16 if dtype.size == 2 else torch.int32).numpy().view(bits(found).dtype)
    )
    found = dequantize(compressed(), divided(tensors, whole), dtype=dtype)
    due = (values * (scales / number)).to(other)
    finite = (scales / number).isfinite().numpy()[:, 0]
    due_bits = due.view(torch.int16 if dtype.size == 2 else torch.int32).numpy().view(bits(found).dtype)
    assert np.array_equal(bits(found)[finite], due_bits[finite])


def test_mlx_s_mode_holds_what_has_no_scale_of_its_own() -> None:
    tensors = divided(every_pair(), 1.0)
    native = to_native(compressed(), tensors)
    assert (native.mode, native.biases) == ("nvfp4", None)
    assert mx.array_equal(native.scales, tensors["weight_scale"])
    found = mx.dequantize(native.weight, native.scales, **native.parameters, dtype=mx.float32)
    assert np.array_equal(bits(found), bits(dequantize(compressed(), tensors, dtype=mx.float32)))


@pytest.mark.parametrize("whole", [2.0, 0.3])
def test_any_other_scale_of_the_matrix_is_dense(whole: float) -> None:
    with pytest.raises(UnsupportedFormat, match="scale of the whole matrix") as found:
        to_native(compressed(), divided(every_pair(), whole))
    assert found.value.code == "unsupported-affine"


def test_a_stack_has_one_scale_for_all_or_one_for_each() -> None:
    rng = np.random.default_rng(5)
    codes = mx.array(rng.integers(0, 256, (3, 8, 16)).astype(np.uint8))
    scales = mx.array(rng.integers(0x20, 0x60, (3, 8, 2)).astype(np.uint8))
    own = mx.array([0.5, 0.3, 0.7])
    stack = {"weight": codes, "weight_scale": scales}
    for shape in ((3,), (3, 1), (3, 1, 1)):
        dense = dequantize(MODELOPT, stack | {"weight_scale_2": own.reshape(shape)})
        for expert in range(3):
            alone = {"weight": codes[expert], "weight_scale": scales[expert], "weight_scale_2": own[expert]}
            assert np.array_equal(bits(dense[expert]), bits(dequantize(MODELOPT, alone)))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"weight_global_scale": mx.array(3.0)}, "bad-shape"),
        ({"weight_global_scale": mx.array([0.0])}, "non-finite-scales"),
        ({"weight_global_scale": mx.array([float("nan")])}, "non-finite-scales"),
        ({"weight_scale": mx.full((len(FINITE), 1), 0x7F, mx.uint8)}, "non-finite-scales"),
    ],
)
def test_scales_that_are_none(changed: dict[str, mx.array], code: str) -> None:
    found = refusal(compressed(), divided(every_pair(), 3.0) | changed)
    assert isinstance(found, MalformedCheckpoint)
    assert found.code == code


@pytest.mark.parametrize("algorithm", ["NVFP4_AWQ", "NVFP4_SVD", "W4A8_AWQ"])
def test_weights_that_the_model_must_undo_are_refused_by_name(algorithm: str) -> None:
    assert refusal({"quant_method": "modelopt", "quant_algo": algorithm}, {}).code == "unsupported-layout"


def test_a_scale_of_the_matrix_is_no_tensor_of_fp8() -> None:
    with pytest.raises(MalformedCheckpoint, match="weight_scale_2"):
        fp8.measure(schemes_of({"quant_method": "modelopt", "quant_algo": "FP8"}).default, infos(OURS))


BLOCKS = {"quant_method": "fp8", "weight_block_size": [128, 128]}
LAYERS = {"experts.0.w1": {"quant_algo": "NVFP4", "group_size": 16}, "lm_head": {"quant_algo": "FP8"}}


def test_layers_that_modelopt_changed_in_a_model_of_another_method() -> None:
    schemes = schemes_of(BLOCKS | {"quantized_layers": LAYERS})
    assert (schemes.default.packing, schemes.default.block) == ("fp8", (128, 128))
    assert (schemes.scheme("experts.0.w1").packing, schemes.place("experts.0.w1")) == (
        "nvfp4",
        "quantized_layers: experts.0.w1",
    )
    assert (schemes.scheme("lm_head").packing, schemes.scheme("lm_head").layout) == ("fp8", "modelopt")
    assert (schemes.scheme("self_attn.q_proj").block, schemes.place("self_attn.q_proj")) == ((128, 128), None)
