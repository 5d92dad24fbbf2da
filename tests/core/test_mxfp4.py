"""MXFP4 by its headers: which tensors are a module, a stack of experts, and what is refused and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import MalformedCheckpoint, QuantError, UnsupportedFormat, dequantize, to_affine, to_native
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.files.folder import TensorInfo
from mlx_quant.packings import mxfp4

GPT_OSS = {"quant_method": "mxfp4"}
MODELOPT = {"quant_method": "modelopt", "quant_algo": "MXFP4"}
Headers = Mapping[str, tuple[str, tuple[int, ...]]]
STACK: Headers = {"_blocks": ("U8", (4, 24, 3, 16)), "_scales": ("U8", (4, 24, 3))}
MATRIX: Headers = {"weight_packed": ("U8", (24, 48)), "weight_scale": ("U8", (24, 3))}


def compressed(form: str = "mxfp4-pack-quantized", **changes: Any) -> dict[str, Any]:
    weights = {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32, **changes}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups}


def infos(headers: Headers) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, dtype, shape, "a.safetensors") for name, (dtype, shape) in headers.items()}


def drawn(*rows: int, groups: int = 3) -> dict[str, mx.array]:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 256, (*rows, groups, 16)).astype(np.uint8)
    return {"_blocks": mx.array(codes), "_scales": mx.array(rng.integers(100, 140, (*rows, groups)).astype(np.uint8))}


def refusal(config: Mapping[str, Any], tensors: Mapping[str, mx.array]) -> QuantError:
    with pytest.raises(QuantError) as found:
        dequantize(config, tensors)
    return found.value


def test_headers_alone_give_the_shape() -> None:
    found = mxfp4.measure(schemes_of(GPT_OSS).default, infos(STACK))
    assert (found.experts, found.out_features, found.in_features, found.dtype) == (4, 24, 96, mx.bfloat16)
    found = mxfp4.measure(schemes_of(compressed()).default, infos(MATRIX))
    assert (found.experts, found.out_features, found.in_features) == (None, 24, 96)


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        (STACK, True),
        (MATRIX, True),
        ({"weight": ("U8", (24, 48)), "weight_scale": ("F8_E8M0", (24, 3))}, True),
        # MXFP8 has a byte for each weight, so twice as many for as many scales.
        ({"weight": ("U8", (24, 96)), "weight_scale": ("U8", (24, 3))}, False),
        ({"weight": ("U8", (24, 48)), "weight_scale": ("F8_E4M3", (24, 6))}, False),
        ({"weight_packed": ("I32", (24, 12)), "weight_scale": ("BF16", (24, 3))}, False),
        ({"_blocks": ("U8", (24, 3, 16))}, False),
        ({"_blocks": ("U8", (24, 3, 16)), "_scales": ("U8", ())}, False),
        ({}, False),
    ],
)
def test_what_is_recognised(headers: Headers, is_ours: bool) -> None:
    assert mxfp4.recognises(infos(headers)) == is_ours


def test_three_producers_mean_the_same() -> None:
    tensors = drawn(24)
    expected = dequantize(GPT_OSS, tensors)
    codes = tensors["_blocks"].reshape(24, 48)
    for config, leaf in ((compressed(), "weight_packed"), (MODELOPT, "weight")):
        found = dequantize(config, {leaf: codes, "weight_scale": tensors["_scales"]})
        assert mx.array_equal(found.view(mx.uint16), expected.view(mx.uint16))


def test_a_stack_is_its_experts_and_mlx_holds_it_as_it_is() -> None:
    tensors = drawn(4, 24)
    dense = dequantize(GPT_OSS, tensors)
    assert (dense.shape, dense.dtype) == ((4, 24, 96), mx.bfloat16)
    for expert in range(4):
        alone = dequantize(GPT_OSS, {name: array[expert] for name, array in tensors.items()})
        assert mx.array_equal(dense[expert].view(mx.uint16), alone.view(mx.uint16))
    native = to_native(GPT_OSS, tensors)
    assert (native.mode, native.weight.shape, native.scales.shape) == ("mxfp4", (4, 24, 12), (4, 24, 3))
    assert mx.array_equal(native.weight.view(mx.uint8).reshape(4, 24, 3, 16), tensors["_blocks"])
    assert mx.array_equal(native.scales, tensors["_scales"])
    unpacked = mx.dequantize(native.weight, native.scales, **native.parameters, dtype=mx.bfloat16)
    assert mx.array_equal(unpacked.view(mx.uint16), dense.view(mx.uint16))


def test_it_has_no_affine_form() -> None:
    with pytest.raises(UnsupportedFormat, match="use to_native") as found:
        to_affine(GPT_OSS, drawn(8))
    assert found.value.code == "unsupported-affine"


def test_a_scale_of_255_is_nan_and_refused_where_mlx_would_read_infinity() -> None:
    tensors = drawn(2, 8)
    scales = np.array(tensors["_scales"])
    scales[1, 7, 2] = 255
    found = refusal(GPT_OSS, tensors | {"_scales": mx.array(scales)})
    assert isinstance(found, MalformedCheckpoint)
    assert (found.code, found.where) == ("non-finite-scales", "_scales")
    assert "1 of 48" in found.message


def test_the_least_scale_is_no_zero() -> None:
    tensors = {"_blocks": mx.full((1, 1, 16), 0x21, mx.uint8), "_scales": mx.zeros((1, 1), mx.uint8)}
    found = dequantize(GPT_OSS, tensors)
    assert found[0, :2].astype(mx.float32).tolist() == [2.0**-128, 2.0**-127]


@pytest.mark.parametrize("size", [16, 64])
def test_other_groups_are_refused(size: int) -> None:
    tensors = {"weight_packed": mx.zeros((8, 32), mx.uint8), "weight_scale": mx.zeros((8, 2), mx.uint8)}
    assert refusal(compressed(group_size=size), tensors).code == "unsupported-group-size"


def test_six_bits_are_refused_by_name() -> None:
    found = refusal(compressed("mxfp6-pack-quantized"), {})
    assert found.code == "unsupported-layout"
    assert "MXFP4 or MXFP8" in found.message


def test_words_under_the_name_of_mxfp4_are_another_packing(tmp_path: Any) -> None:
    tensors = {"weight_packed": mx.zeros((8, 4), mx.int32), "weight_scale": mx.zeros((8, 1), mx.bfloat16)}
    assert refusal(compressed(), tensors).code == "bad-dtype"
