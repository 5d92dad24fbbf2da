"""torchao's MX and NVFP4 in the core: tiles of scales, MLX's own modes, and what headers say that is not decoded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat, dequantize, to_native
from mlx_quant.checkpoint.outline import Outline
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.packings import torchao_mx

MODEL = Path(__file__).parents[2] / "fixtures/torchao_mx/models/qwen2-torchao-mx"
LAYER = "model.layers.0."
# 1 and 2 of E4M3; 1 and 2, low nibble first, of E2M1.
EIGHTS = mx.array(np.tile(np.array([0x38, 0x40], np.uint8), (2, 16)))
FOURS = mx.array(np.full((2, 16), 0x42, np.uint8))


def named(name: str) -> dict[str, str]:
    return {"_type": "torch.dtype", "_data": name}


def config(kind: str = "MXTensor", parts: tuple[str, ...] = ("qdata", "scale"), **changes: Any) -> dict[str, Any]:
    own = {"block_size": 32, "elem_dtype": named("float8_e4m3fn")} if kind == "MXTensor" else {"block_size": 16}
    said = own | {"orig_dtype": named("bfloat16"), "is_swizzled_scales": False, "act_quant_kwargs": None}
    entry = {"_type": kind, "_data": said | changes, "_tensor_data_names": list(parts)}
    return {"quant_method": "torchao", "metadata": {"weight": json.dumps(entry)}}


def tensors(codes: mx.array, scales: Any, **more: mx.array) -> dict[str, mx.array]:
    return {"_weight_qdata": codes, "_weight_scale": mx.array(np.array(scales, np.uint8)), **more}


def tiled(scales: np.ndarray) -> np.ndarray:
    """In the order that the definition gives to each byte, one at a time."""
    across = -(-scales.shape[1] // 4)
    found = np.zeros((-(-scales.shape[0] // 128) * across, 32, 16), np.uint8)
    for (output, group), byte in np.ndenumerate(scales):
        tile = output // 128 * across + group // 4
        found[tile, output % 32, 4 * (output % 128 // 32) + group % 4] = byte
    return found.reshape(-1, 16 * across)


def test_a_byte_is_a_power_of_two_for_32_codes() -> None:
    found = dequantize(config(), tensors(EIGHTS, [[126], [129]]), candidates=True)
    assert found.dtype == mx.bfloat16
    assert found.tolist() == [[0.5, 1.0] * 16, [4.0, 8.0] * 16]
    four = config(elem_dtype=named("float4_e2m1fn_x2"), orig_dtype=named("float32"))
    found = dequantize(four, tensors(FOURS, [[127], [128]]), candidates=True)
    assert found.dtype == mx.float32
    assert found.tolist() == [[1.0, 2.0] * 16, [2.0, 4.0] * 16]


def test_nvfp4_has_a_scale_of_the_matrix_where_the_header_names_it() -> None:
    scales = [[0x38, 0x40], [0x30, 0x38]]
    plain = dequantize(config("NVFP4Tensor"), tensors(FOURS, scales), candidates=True)
    assert plain.tolist() == [[1.0, 2.0] * 8 + [2.0, 4.0] * 8, [0.5, 1.0] * 8 + [1.0, 2.0] * 8]
    whole = config("NVFP4Tensor", ("per_tensor_scale", "qdata", "scale"))
    found = dequantize(whole, tensors(FOURS, scales, _weight_per_tensor_scale=mx.array(4.0)), candidates=True)
    assert found.tolist() == (plain * 4).tolist()


@pytest.mark.parametrize("shape", [(1, 1), (33, 3), (128, 4), (129, 4), (128, 5), (260, 9)])
@pytest.mark.parametrize("kind", ["MXTensor", "NVFP4Tensor"])
def test_tiles_are_the_scales_in_rows(kind: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    scales = rng.integers(0x30, 0x60, shape).astype(np.uint8)
    size, own = (32, {"elem_dtype": named("float4_e2m1fn_x2")}) if kind == "MXTensor" else (16, {})
    codes = mx.array(rng.integers(0, 256, (shape[0], shape[1] * size // 2)).astype(np.uint8))
    rows = dequantize(config(kind, **own), tensors(codes, scales), candidates=True)
    tiles = dequantize(config(kind, is_swizzled_scales=True, **own), tensors(codes, tiled(scales)), candidates=True)
    assert mx.array_equal(rows.view(mx.uint16), tiles.view(mx.uint16))


@pytest.mark.parametrize(("element", "mode"), [("float8_e4m3fn", "mxfp8"), ("float4_e2m1fn_x2", "mxfp4")])
def test_mlx_s_modes_hold_the_codes_and_the_scales_of_tiles(element: str, mode: str) -> None:
    rng = np.random.default_rng(7)
    scales = rng.integers(100, 140, (130, 5)).astype(np.uint8)
    codes = mx.array(rng.integers(0, 0x7F, (130, 160 if mode == "mxfp8" else 80)).astype(np.uint8))
    said = config(elem_dtype=named(element), is_swizzled_scales=True)
    given = tensors(codes, tiled(scales))
    native = to_native(said, given, candidates=True)
    assert native.mode == mode
    assert mx.array_equal(native.scales, mx.array(scales))
    assert mx.array_equal(native.weight.view(mx.uint8), codes)
    found = mx.dequantize(native.weight, native.scales, **native.parameters, dtype=mx.bfloat16)
    assert mx.array_equal(found.view(mx.uint16), dequantize(said, given, candidates=True).view(mx.uint16))


def test_mlx_s_nvfp4_has_no_scale_of_the_matrix() -> None:
    scales = [[0x38, 0x40], [0x30, 0x38]]
    native = to_native(config("NVFP4Tensor"), tensors(FOURS, scales), candidates=True)
    assert (native.mode, native.scales.tolist()) == ("nvfp4", scales)
    whole = config("NVFP4Tensor", ("per_tensor_scale", "qdata", "scale"))
    with pytest.raises(UnsupportedFormat, match="scale of the whole matrix") as caught:
        to_native(whole, tensors(FOURS, scales, _weight_per_tensor_scale=mx.array(4.0)), candidates=True)
    assert caught.value.code == "unsupported-affine"


def test_padding_is_nobody_s_and_a_scale_is_not() -> None:
    said = config(is_swizzled_scales=True)
    bytes_ = np.full((32, 16), 0xFF, np.uint8)
    bytes_[:2, 0] = 127
    found = dequantize(said, tensors(EIGHTS, bytes_), candidates=True)
    assert found.tolist() == [[1.0, 2.0] * 16] * 2
    bytes_[1, 0] = 0xFF
    with pytest.raises(MalformedCheckpoint) as caught:
        dequantize(said, tensors(EIGHTS, bytes_), candidates=True)
    assert caught.value.code == "non-finite-scales"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (config(elem_dtype=named("float8_e5m2")), "unsupported-layout"),
        (config(elem_dtype="fp6_e3m2"), "unsupported-layout"),
        (config(elem_dtype="float8_e4m3fn"), "bad-config-value"),
        (config(elem_dtype=["fp6_e3m2"]), "bad-config-value"),
        (config(elem_dtype=named("int8")), "bad-config-value"),
        (config(orig_dtype=named("float16")), "unsupported-dtype"),
        (config(orig_dtype=named("float64")), "bad-config-value"),
        (config(is_swizzled_scales=None), "bad-config-value"),
        (config(block_size=64), "unsupported-group-size"),
        (config(block_size=10**400), "unsupported-group-size"),
        (config(block_size=True), "bad-config-value"),
        (config("NVFP4Tensor", block_size=32), "unsupported-group-size"),
        (config(parts=("per_tensor_scale", "qdata", "scale")), "unsupported-layout"),
        (config(parts=("qdata", "scale", "zero_point")), "unsupported-layout"),
        (config("NVFP4Tensor", ("per_tensor_scale", "qdata", "scale")), "missing-tensor"),
    ],
)
def test_what_a_header_says_is_checked(said: dict[str, Any], code: str) -> None:
    with pytest.raises(QuantError) as caught:
        dequantize(said, tensors(EIGHTS, [[127], [127]]), candidates=True)
    assert caught.value.code == code


def test_elements_that_are_not_decoded_are_refused_with_their_reasons() -> None:
    listed = mlx_quant.formats()
    assert "F8_E5M2" in listed["torchao-mx-e5m2"].reason
    assert "a byte each" in listed["torchao-mx-fp6"].reason
    with pytest.raises(UnsupportedFormat, match="F8_E5M2"):
        _ = schemes_of(config(elem_dtype=named("float8_e5m2"))).default


def test_what_is_said_of_activations_is_noted() -> None:
    dynamic = {"_type": "QuantizeTensorToMXKwargs", "_data": {}}
    scheme = schemes_of(config(act_quant_kwargs=dynamic)).default
    assert "activations" in torchao_mx.remarks(scheme, {})[0]
    assert not schemes_of(config()).default.notes


def test_a_checkpoint_is_measured_by_its_headers() -> None:
    found = Checkpoint.open(MODEL, candidates=True)
    with pytest.warns(mlx_quant.QuantWarning, match="activations"):
        found.examine(LAYER + "self_attn.v_proj")
    for name, mode in (("self_attn.v_proj", "mxfp8"), ("self_attn.q_proj", "mxfp4")):
        assert found.examine(LAYER + name).parameters["mode"] == mode
        assert Outline(found).examine(LAYER + name) == found.examine(LAYER + name)
    up = found.modules[LAYER + "mlp.up_proj"]
    assert (up.shape, up.dtype, up.scheme.layout) == ((512, 256), mx.bfloat16, "NVFP4Tensor, swizzled")
    assert "scale of the whole matrix" in str(found.examine(LAYER + "mlp.up_proj").not_native)
