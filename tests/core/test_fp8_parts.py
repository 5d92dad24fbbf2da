"""FP8 in parts in the core: quanto's names and torchao's, scales of several shapes, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat, dequantize
from mlx_quant.checkpoint.outline import Outline
from mlx_quant.dialects.registry import schemes_of

MODEL = Path(__file__).parents[2] / "fixtures/fp8_parts/models/qwen2-torchao-fp8"
UP = "model.layers.0.mlp.up_proj"
QUANTO: dict[str, Any] = {"quant_method": "quanto", "weights": "qfloat8_e4m3fn"}
# 1, 2, -1 and 448.
CODES = mx.array(np.array([[0x38, 0x40], [0xB8, 0x7E]], np.uint8))


def torchao(block: object, dtype: str = "bfloat16", **changes: Any) -> dict[str, Any]:
    said = {"block_size": block, "act_quant_kwargs": None, "dtype": {"_type": "torch.dtype", "_data": dtype}}
    entry = {"_type": "Float8Tensor", "_data": said, "_tensor_data_names": ["qdata", "scale"]} | changes
    return {"quant_method": "torchao", "metadata": {"weight": json.dumps(entry)}}


def decoded(config: dict[str, Any], codes: str, scales: str, values: mx.array) -> mx.array:
    return dequantize(config, {codes: CODES, scales: values}, candidates=True)


def test_rows_have_a_scale_each() -> None:
    scales = mx.array([[0.5], [3.0]], dtype=mx.float16)
    found = decoded(QUANTO, "weight._data", "weight._scale", scales)
    assert found.dtype == mx.float16
    assert found.tolist() == [[0.5, 1.0], [-3.0, 1344.0]]
    found = decoded(torchao([1, 2]), "_weight_qdata", "_weight_scale", scales.astype(mx.float32))
    assert found.dtype == mx.bfloat16
    assert found.tolist() == [[0.5, 1.0], [-3.0, 1344.0]]


@pytest.mark.parametrize("block", [[], None, [2, 2]])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_scale_has_any_axes(block: object, shape: tuple[int, ...]) -> None:
    found = decoded(torchao(block, "float32"), "_weight_qdata", "_weight_scale", mx.full(shape, 2.0))
    assert found.tolist() == [[2.0, 4.0], [-2.0, 896.0]]


def test_a_scale_of_another_dtype_rounds_the_product() -> None:
    scale = np.float32(1.0 + 2.0**-12)
    found = decoded(torchao([2, 2]), "_weight_qdata", "_weight_scale", mx.array([[float(scale)]]))
    assert found.tolist() == [[1.0, 2.0], [-1.0, 448.0]]


@pytest.mark.parametrize("kind", ["qfloat8_e5m2", "qfloat8_e4m3fnuz"])
def test_floats_of_which_mlx_opens_no_file_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedFormat, match="unsupported dtype") as caught:
        _ = schemes_of(QUANTO | {"weights": kind}).default
    assert caught.value.code == "unsupported-layout"


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (torchao([1, 3]), "bad-shape"),
        (torchao([2]), "bad-config-value"),
        (torchao(""), "bad-config-value"),
        (torchao({}), "bad-config-value"),
        (torchao([1, 2], "float64"), "bad-config-value"),
        (torchao([1, 2], _tensor_data_names=["qdata", "scale", "zero_point"]), "unsupported-layout"),
    ],
)
def test_what_a_header_says_is_checked(config: dict[str, Any], code: str) -> None:
    with pytest.raises(QuantError) as caught:
        decoded(config, "_weight_qdata", "_weight_scale", mx.ones((2, 1)))
    assert caught.value.code == code


def test_parts_of_another_are_not_taken() -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        decoded(QUANTO, "_weight_qdata", "_weight_scale", mx.ones((2, 1)))
    assert caught.value.code == "missing-tensor"


def test_a_checkpoint_is_measured_by_its_headers() -> None:
    found = Checkpoint.open(MODEL, candidates=True)
    module = found.modules[UP]
    assert (module.shape, module.dtype, module.scales) == ((512, 256), mx.bfloat16, mx.float32)
    assert Outline(found).examine(UP) == found.examine(UP)
    assert "powers of two" in str(found.examine(UP).not_native)
