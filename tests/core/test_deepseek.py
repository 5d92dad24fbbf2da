"""DeepSeek V4's names: FP8 and MXFP4 under one configuration, told apart by their codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import QuantError, dequantize, to_native
from mlx_quant.checkpoint.modules import leftovers, packed_modules
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.files.folder import TensorInfo

CONFIG = {"quant_method": "fp8", "fmt": "e4m3", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]}
MXFP4 = {"quant_method": "mxfp4"}
Headers = Mapping[str, tuple[str, tuple[int, ...]]]


def infos(headers: Headers) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, dtype, shape, "a.safetensors") for name, (dtype, shape) in headers.items()}


def packings(headers: Headers, config: Mapping[str, Any] = CONFIG) -> dict[str, str]:
    found = packed_modules(infos(headers), schemes_of(config))
    return {name: module.scheme.packing for name, module in found.items()}


EXPERT: Headers = {"e.weight": ("I8", (24, 48)), "e.scale": ("F8_E8M0", (24, 3))}
LINEAR: Headers = {"l.weight": ("F8_E4M3", (130, 256)), "l.scale": ("F8_E8M0", (2, 2))}


@pytest.mark.parametrize("said", [{}, {"expert_dtype": "fp4"}, {"expert_dtype": "fp8"}, {"expert_dtype": None}])
def test_codes_decide_whatever_is_said_of_experts(said: Mapping[str, Any]) -> None:
    assert packings({**EXPERT, **LINEAR}, CONFIG | said) == {"e": "mxfp4", "l": "fp8"}


def test_experts_mean_what_mxfp4_means_and_mlx_holds_them_as_they_are() -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 256, (24, 48)).astype(np.uint8)
    scale = mx.array(rng.integers(100, 140, (24, 3)).astype(np.uint8))
    tensors = {"weight": mx.array(codes.view(np.int8)), "scale": scale}
    stack = {"_blocks": mx.array(codes.reshape(24, 3, 16)), "_scales": scale}
    found, expected = dequantize(CONFIG, tensors), dequantize(MXFP4, stack)
    assert mx.array_equal(found.view(mx.uint16), expected.view(mx.uint16))
    native = to_native(CONFIG, tensors)
    assert (native.mode, native.group_size) == ("mxfp4", 32)
    assert np.array_equal(np.array(native.weight.view(mx.uint8)), codes)
    assert mx.array_equal(native.scales, scale)


@pytest.mark.parametrize("block", [[32, 32], [128, 128]])
def test_eights_are_held_as_mxfp8(block: list[int]) -> None:
    rng = np.random.default_rng(6)
    codes = mx.array(rng.integers(0, 0x7F, (256, 128)).astype(np.uint8))
    scale = mx.array(rng.integers(100, 140, (256 // block[0], 128 // block[1])).astype(np.uint8))
    config = CONFIG | {"weight_block_size": block}
    native = to_native(config, {"weight": codes, "scale": scale})
    assert native.mode == "mxfp8"
    dense = mx.dequantize(native.weight, native.scales, **native.parameters, dtype=mx.bfloat16)
    found = dequantize(config, {"weight": codes, "scale": scale})
    assert mx.array_equal(found.view(mx.uint16), dense.view(mx.uint16))


def test_a_scale_is_a_mark_beside_small_codes_alone() -> None:
    others: Headers = {
        "norm.weight": ("BF16", (64,)),
        "norm.scale": ("BF16", (64,)),
        "router.scale": ("F32", (1,)),
        "head.weight": ("BF16", (24, 48)),
        "head.scale": ("F8_E8M0", (24, 3)),
    }
    assert packings({**LINEAR, **others}) == {"l": "fp8"}
    assert leftovers(infos({**LINEAR, **others}), schemes_of(CONFIG)) == set()


@pytest.mark.parametrize(
    ("changed", "code", "where"),
    [
        ({"e.scale": ("F8_E8M0", (24, 6))}, "bad-shape", "e: weight"),
        ({"e.scale": ("F32", (24, 3))}, "bad-dtype", "e: scale"),
        ({"e.scale": ("F8_E8M0", ())}, "bad-shape", "e: scale"),
        ({"e.weight_scale_inv": ("F8_E8M0", (24, 3))}, "unexpected-tensor", "e: weight_scale_inv"),
        ({"e.weight": ("F8_E4M3", (24, 48))}, "bad-shape", "e: scale"),
    ],
)
def test_what_does_not_fit_is_refused(changed: Headers, code: str, where: str) -> None:
    with pytest.raises(QuantError) as caught:
        packings({**EXPERT, **changed})
    assert caught.value.code == code
    assert where in str(caught.value.where)


@pytest.mark.parametrize("said", ["fp6", "", [1], 4, {}])
def test_experts_of_another_type_are_refused_by_name(said: object) -> None:
    if not said:
        assert packings(EXPERT, CONFIG | {"expert_dtype": said}) == {"e": "mxfp4"}
        return
    with pytest.raises(QuantError) as caught:
        packings(EXPERT, CONFIG | {"expert_dtype": said})
    assert (caught.value.code, caught.value.where) == ("unsupported-layout", "expert_dtype")
