"""VPTQ in the core: streams of codes, residuals, outliers, the order of inputs, and hostile configs and headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant import Checkpoint, MalformedCheckpoint, UnsupportedFormat
from mlx_quant.dialects.registry import schemes_of

MODEL = Path(__file__).parents[2] / "fixtures/vptq/models/llama-vptq-8x6"
DOWN = "model.layers.0.mlp.down_proj"
# Vectors of two outputs, of four entries and two residuals: codes of 2 bits and 1 bit.
OWN: dict[str, Any] = {
    "vector_lens": [-1, 2],
    "num_centroids": [-1, 4],
    "num_res_centroids": [-1, 2],
    "group_num": 1,
    "group_size": 3,
    "outlier_size": 0,
    "enable_norm": False,
    "enable_perm": False,
}


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the evidence says by now."""
    monkeypatch.setattr("mlx_quant.packings.vptq.STATUS", "enabled")
    monkeypatch.setattr("mlx_quant.packings.status.EVIDENCE_REQUIRED", False)


def config(**changes: Any) -> dict[str, Any]:
    return {"quant_method": "vptq", "config_for_layers": {"up_proj": OWN | changes}}


def module(*rows: int, dtype: mx.Dtype = mx.float16) -> dict[str, mx.array]:
    """Rows of vectors by their words. Entry e is (10 e, 10 e + 1), residual r is (100 r, 200 r)."""
    return {
        "indices": mx.array([[[row] for row in rows]], dtype=mx.int32),
        "centroids.weight": mx.array([[0, 1, 10, 11, 20, 21, 30, 31]], dtype=dtype),
        "res_centroids.weight": mx.array([[0, 0, 100, 200]], dtype=dtype),
    }


def test_a_code_and_then_its_residual_for_each_input_lowest_first() -> None:
    found = mlx_quant.dequantize(config(), module(0b1_01_0_10_1_11, 0))
    assert found.dtype == mx.float16
    # Entries 3, 2, 1 with residuals 1, 0, 1.
    assert found.tolist() == [[130, 20, 110], [231, 21, 211], [0, 0, 0], [1, 1, 1]]


def test_what_is_beyond_a_row_means_nothing() -> None:
    assert mlx_quant.dequantize(config(), module(-1 << 9)).tolist() == [[0] * 3, [1] * 3]


def test_an_order_says_the_input_of_each_column() -> None:
    given = module(0b0_10_0_01_0_00) | {"perm": mx.array([2, 0, 1], dtype=mx.int16)}
    assert mlx_quant.dequantize(config(enable_perm=True), given).tolist() == [[10, 20, 0], [11, 21, 1]]


def test_scales_and_biases_are_of_inputs_in_their_own_order() -> None:
    given = module(0b0_10_0_01_0_00) | {
        "perm": mx.array([2, 0, 1], dtype=mx.int16),
        "weight_scale": mx.array([1, 2, 3], dtype=mx.float16),
        "weight_bias": mx.array([0.5, 0, -1], dtype=mx.float16),
    }
    found = mlx_quant.dequantize(config(enable_perm=True, enable_norm=True), given)
    assert found.tolist() == [[10.5, 40, -1], [11.5, 42, 2]]


def test_outliers_are_the_first_columns_and_outputs_of_padding_are_none() -> None:
    given = module(0, 0) | {
        "outlier_indices": mx.array([[[2]]], dtype=mx.int16),
        "outlier_centroids.weight": mx.arange(9).astype(mx.float16).reshape(1, 9),
    }
    said = config(vector_lens=[3, 2], num_centroids=[3, 4], outlier_size=1, out_features=3)
    assert mlx_quant.dequantize(said, given).tolist() == [[6, 0, 0, 0], [7, 1, 1, 1], [8, 0, 0, 0]]


def test_each_step_is_rounded() -> None:
    # 31 + 200 is 231, which has no half in bfloat16: 231 * 1.5 = 346.5 becomes 346, and with 1 added 347 becomes 348.
    given = module(0b1_11, dtype=mx.bfloat16) | {
        "weight_scale": mx.array([1.5] * 3, dtype=mx.bfloat16),
        "weight_bias": mx.array([1] * 3, dtype=mx.bfloat16),
    }
    assert mlx_quant.dequantize(config(enable_norm=True), given)[1, 0].item() == 348


def test_fields_of_32_bits_lie_across_words() -> None:
    """Codes and residuals of 16 bits, of which no shift by a whole word is asked."""
    said = config(vector_lens=[-1, 1], num_centroids=[-1, 1 << 16], num_res_centroids=[-1, 1 << 13], group_size=5)
    codes, added = np.array([65535, 1, 40000, 0, 77]), np.array([8191, 0, 4096, 5, 1])
    stream = sum((int(q) | int(p) << 16) << 29 * j for j, (q, p) in enumerate(zip(codes, added, strict=True)))
    words = np.frombuffer(stream.to_bytes(20, "little"), np.int32)
    given = {
        "indices": mx.array(words.reshape(1, 1, 5)),
        "centroids.weight": mx.arange(1 << 16).astype(mx.float32).reshape(1, -1),
        "res_centroids.weight": mx.arange(1 << 13).astype(mx.float32).reshape(1, -1),
    }
    assert mlx_quant.dequantize(said, given).tolist() == [(codes + added).tolist()]


def test_there_is_no_packed_form_of_it() -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        mlx_quant.to_affine(config(), module(0))
    assert caught.value.code == "unsupported-affine"


@pytest.mark.parametrize("perm", [[0, 1, 1], [0, 1, 3], [0, 1, -1]])
def test_an_order_that_is_none_is_refused(perm: list[int]) -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        mlx_quant.dequantize(config(enable_perm=True), module(0) | {"perm": mx.array(perm, dtype=mx.int16)})
    assert (caught.value.code, caught.value.where) == ("group-index-out-of-range", "perm")


@pytest.mark.parametrize("key", OWN)
@pytest.mark.parametrize(
    "value", [None, "2", 2.5, {}, [], [1, 2, 3], [True, True], 10**30, [10**30, 10**30], -(10**30)]
)
def test_settings_that_are_none_are_refused(key: str, value: Any) -> None:
    with pytest.raises((MalformedCheckpoint, UnsupportedFormat)) as caught:
        mlx_quant.dequantize(config(**{key: value}), module(0))
    assert caught.value.code in ("bad-config-value", "unsupported-layout")


def test_whole_names_outrank_their_last_parts() -> None:
    found = schemes_of(config() | {"shared_layer_config": {"up_proj": OWN | {"num_centroids": [-1, 8]}}})
    assert (found.scheme("up_proj").bits, found.scheme("layers.0.up_proj").bits) == (2, 3)
    assert found.place("layers.0.up_proj") == "shared_layer_config.'up_proj'"
    with pytest.raises(MalformedCheckpoint, match="down_proj"):
        found.scheme("down_proj")


def test_a_checkpoint_says_of_each_module_what_it_has() -> None:
    found = Checkpoint.open(MODEL, candidates=True)
    assert len(found.modules) == 14
    assert "outlier_indices" in found.modules[DOWN].tensors
    assert found.modules[DOWN].dtype == mx.float16
