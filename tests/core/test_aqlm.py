"""AQLM in the core: blocks of sums, codes modulo the number of entries, and hostile configs and headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from conformance.corpus.fixtures import vectors
from conformance.formats.aqlm.packing import Additive
from mlx_quant import Checkpoint, MalformedCheckpoint, UnsupportedFormat
from mlx_quant.dialects.registry import schemes_of

MODEL = Path(__file__).parents[2] / "fixtures/aqlm/models/llama-aqlm-2x8"
UP = "model.layers.0.mlp.up_proj"
CONFIG = {
    "quant_method": "aqlm",
    "nbits_per_codebook": 2,
    "num_codebooks": 2,
    "out_group_size": 2,
    "in_group_size": 3,
}


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the evidence says by now."""
    monkeypatch.setattr("mlx_quant.packings.aqlm.STATUS", "enabled")
    monkeypatch.setattr("mlx_quant.packings.status.EVIDENCE_REQUIRED", False)


def module(codes: Any, tables: Any = None, dtype: mx.Dtype = mx.float16) -> dict[str, mx.array]:
    """Rows and columns of blocks of 2 x 3 weights by their pairs of codes; scales are 1 and 2."""
    found = mx.array(codes, dtype=mx.int8)
    if tables is None:
        # Entry e of a codebook has e0 to e5 in its places, that of the second one 100 more.
        tables = np.arange(2)[:, None, None] * 100 + np.arange(4)[:, None] * 10 + np.arange(6)
    return {
        "codes": found,
        "codebooks": mx.array(np.asarray(tables, np.float32).reshape(2, 4, 2, 3)).astype(dtype),
        "scales": mx.arange(1, found.shape[0] + 1).astype(dtype).reshape(-1, 1, 1, 1),
    }


def test_a_block_is_a_sum_of_entries_times_the_scale_of_its_row() -> None:
    found = mlx_quant.dequantize(CONFIG, module([[[0, 0], [1, 2]], [[-1, -2], [0, 3]]]))
    assert found.dtype == mx.float16
    place = np.array([[0, 2, 4], [6, 8, 10]])
    assert found.tolist() == [
        *np.hstack([place + 100, place + 130]).tolist(),
        *(2 * np.hstack([place + 150, place + 130])).tolist(),
    ]


@pytest.mark.parametrize("above", [-4, 4, 60, -128])
def test_codes_are_taken_modulo_the_number_of_entries(above: int) -> None:
    plain = mlx_quant.dequantize(CONFIG, module([[[1, 2]]]))
    assert mlx_quant.dequantize(CONFIG, module([[[1 + above, 2 + above]]])).tolist() == plain.tolist()


def test_zeros_have_no_sign_before_they_are_scaled() -> None:
    found = np.array(mlx_quant.dequantize(CONFIG, module([[[0, 0]]], np.full((2, 4, 6), -0.0))))
    assert not np.signbit(found).any()


def test_sums_are_rounded_before_they_are_multiplied() -> None:
    # 1 + 3 * 2**-9 becomes 1 + 2**-7, three times that is between two numbers, and 3 + 2**-5 is the even one. Three
    # times the sum itself would be nearer to 3 + 2**-6.
    tables = np.zeros((2, 4, 6))
    tables[0], tables[1] = 1, 3 * 2.0**-9
    given = module([[[0, 0]], [[0, 0]], [[0, 0]]], tables, mx.bfloat16)
    assert mlx_quant.dequantize(CONFIG, given)[4, 0].item() == 3 + 2.0**-5
    assert mlx_quant.dequantize(CONFIG, given, dtype=mx.float32).dtype == mx.float32


def test_there_is_no_packed_form_of_it() -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        mlx_quant.to_affine(CONFIG, module([[[0, 0]]]))
    assert caught.value.code == "unsupported-affine"


def test_what_is_not_said_is_what_transformers_takes() -> None:
    found = schemes_of({"quant_method": "aqlm"}).default
    assert (found.bits, found.codebooks, found.block) == (16, 1, (1, 8))


@pytest.mark.parametrize("value", [0, -3, None, True, "2", 2.0, [2], {}])
@pytest.mark.parametrize("key", [key for key in CONFIG if key != "quant_method"])
def test_sizes_that_are_none_are_refused(key: str, value: Any) -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        mlx_quant.dequantize(CONFIG | {key: value}, module([[[0, 0]]]))
    assert caught.value.code == "bad-config-value"


def test_sizes_beyond_measure_make_no_shapes() -> None:
    for key in ("num_codebooks", "out_group_size", "in_group_size"):
        with pytest.raises(MalformedCheckpoint) as caught:
            mlx_quant.dequantize(CONFIG | {key: 10**30}, module([[[0, 0]]]))
        assert caught.value.code == "bad-shape"
    with pytest.raises(UnsupportedFormat) as unsupported:
        mlx_quant.dequantize(CONFIG | {"nbits_per_codebook": 10**9}, module([[[0, 0]]]))
    assert unsupported.value.code == "unsupported-bits"


def test_codes_that_a_run_turned_are_told() -> None:
    given = module([[[0, 0]], [[1, 1]], [[2, 2]]])
    given["codes"] = mx.contiguous(given["codes"].swapaxes(0, 1))
    with pytest.raises(MalformedCheckpoint, match="turned by a run on a CPU") as caught:
        mlx_quant.dequantize(CONFIG, given)
    assert caught.value.code == "bad-shape"


def test_a_checkpoint_says_which_modules_are_packed() -> None:
    found = Checkpoint.open(MODEL, candidates=True)
    assert len(found.modules) == 14
    assert found.modules[UP].dtype == mx.float16
    assert "lm_head.weight" in found.config["quantization_config"]["linear_weights_not_to_quantize"]


def test_upstream_s_other_sums_are_ties_taken_away_from_zero() -> None:
    """Why one vector is not held to what PyTorch reads: with that rounding, and no other change, it is all there."""
    (vector,) = (own for own in vectors() if own.id == "aqlm-2x8-bfloat16-ties")
    module = vector.format.parts(vector.config, vector.tensors)
    assert isinstance(module, Additive)
    bits = module.sums().view(np.uint32)
    # Half a step more before the rest is cut off: ties leave zero, and all else goes to the nearest.
    away = (((bits + 0x8000) >> 16) << 16).astype(np.uint32).view(np.float32)
    assert (module.scaled(away.astype(np.float64), None).bits == vector.expected["python"].bits).all()
    assert (module.dense(None).bits != vector.expected["python"].bits).any()
