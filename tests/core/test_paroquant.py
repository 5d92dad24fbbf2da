"""ParoQuant in the core: what is decoded takes inputs as they come, and hostile configs, pairs and headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from conformance.bits.array import Array
from conformance.formats.paroquant.packing import laid
from mlx_quant import Checkpoint, MalformedCheckpoint, UnsupportedFormat
from mlx_quant.dialects.registry import schemes_of

MODEL = Path(__file__).parents[2] / "fixtures/paroquant/models/qwen2-paroquant-g128"
UP = "model.layers.0.mlp.up_proj"
CONFIG = {"quant_method": "paroquant", "bits": 4, "group_size": 8, "krot": 2}
OUT, IN, SIZE = 8, 16, 8


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the evidence says by now."""
    monkeypatch.setattr("mlx_quant.packings.paroquant.STATUS", "enabled")
    monkeypatch.setattr("mlx_quant.packings.status.EVIDENCE_REQUIRED", False)


def module(seed: int = 0, **changed: Any) -> dict[str, mx.array]:
    """[8, 16] in two groups, turned twice; ``changed`` gives pairs, angles or columns in NumPy."""
    rng = np.random.default_rng(seed)
    numbers = {
        "pairs": np.argsort(rng.random((2, 2, SIZE)), axis=2).reshape(2, -1, 2),
        "angles": rng.normal(size=(2, IN // 2)),
        "columns": rng.lognormal(size=IN),
    } | changed
    found = laid(
        rng.integers(0, 16, (OUT, IN)),
        rng.integers(0, 16, (2, OUT)),
        Array.of((rng.integers(1, 1 << 11, (2, OUT)) * 2.0**-14).astype(np.float16)),
        numbers["pairs"],
        Array.of(np.asarray(numbers["angles"]).astype(np.float16)),
        Array.of(np.asarray(numbers["columns"]).astype(np.float16)),
    )
    return {name: mx.array(array.bits.view(array.dtype)) for name, array in found.items()}


def met(tensors: dict[str, mx.array]) -> np.ndarray:
    """What turned inputs meet, by the decoder of AWQ: float64 [out, in]."""
    codes = {name: tensors[name] for name in ("qweight", "qzeros", "scales")}
    awq = {"quant_method": "awq", "bits": 4, "group_size": SIZE, "version": "gemm"}
    return np.array(mlx_quant.dequantize(awq, codes, dtype=mx.float32)).astype(np.float64)


def layer(x: np.ndarray, tensors: dict[str, mx.array]) -> np.ndarray:
    """The sentences that say what a layer does, in float64: scale the inputs, turn them pair by pair, multiply."""
    x = x * np.array(tensors["channel_scales"]).astype(np.float64)
    for pairs, angles in zip(np.array(tensors["pairs"]), np.array(tensors["theta"]).astype(np.float64), strict=True):
        turned = x.copy()
        for number, angle in enumerate(angles):
            start = 2 * number // SIZE * SIZE
            i, j = start + pairs[2 * number], start + pairs[2 * number + 1]
            turned[:, i] = x[:, i] * np.cos(angle) + x[:, j] * np.sin(angle)
            turned[:, j] = x[:, j] * np.cos(angle) - x[:, i] * np.sin(angle)
        x = turned
    return x @ met(tensors).T


@pytest.mark.parametrize("seed", range(4))
def test_the_weight_does_to_inputs_what_the_layer_does(seed: int) -> None:
    given = module(seed)
    inputs = np.random.default_rng(seed).normal(size=(5, IN))
    weight = np.array(mlx_quant.dequantize(CONFIG, given, dtype=mx.float32)).astype(np.float64)
    assert np.allclose(inputs @ weight.T, layer(inputs, given), rtol=0, atol=1e-5)


def test_inputs_that_are_not_turned_meet_awq_s_weight() -> None:
    still = module(angles=np.zeros((2, IN // 2)), columns=np.ones(IN))
    found = mlx_quant.dequantize(CONFIG, still)
    assert found.dtype == mx.float16
    assert np.array_equal(np.array(found), met(still).astype(np.float16))


def test_one_pair_by_hand() -> None:
    # Inputs 3 and 6 of the second group are turned by 1; the cosine of 1 is 0.5403, its sine 0.8415.
    pairs = np.arange(SIZE).reshape(1, 4, 2).repeat(2, axis=0).reshape(1, -1, 2).copy()
    pairs[0, 4:] = [[3, 6], [0, 1], [2, 4], [5, 7]]
    angles = np.zeros((1, IN // 2))
    angles[0, 4] = 1
    columns = np.ones(IN)
    columns[11] = 2
    given = module(pairs=pairs, angles=angles, columns=columns)
    due = met(given)
    a, b = due[:, 11].copy(), due[:, 14].copy()
    due[:, 11], due[:, 14] = 2 * (a * np.cos(1) - b * np.sin(1)), b * np.cos(1) + a * np.sin(1)
    found = np.array(mlx_quant.dequantize(CONFIG | {"krot": 1}, given, dtype=mx.float32))
    assert np.allclose(found, due, rtol=0, atol=1e-6)


def test_there_is_no_packed_form_of_it() -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        mlx_quant.to_affine(CONFIG, module())
    assert caught.value.code == "unsupported-affine"


def test_what_is_not_said_is_what_the_library_takes() -> None:
    found = schemes_of({"quant_method": "PAROQUANT"}).default
    assert (found.bits, found.group_size, found.rotations, found.packing) == (4, 128, None, "paroquant")


def test_rules_of_gptqmodel_are_followed() -> None:
    rules = schemes_of(CONFIG | {"dynamic": {r"+:.*\.down_proj$": {"group_size": -1, "krot": 4}}})
    assert rules.scheme("a.down_proj").rotations == 4
    assert rules.scheme("a.up_proj").rotations == 2


@pytest.mark.parametrize("value", [0, -3, True, "2", 2.0, [2], {}, 10**30])
def test_a_number_of_rotations_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        mlx_quant.dequantize(CONFIG | {"krot": value}, module())
    assert caught.value.code == ("bad-shape" if value == 10**30 else "bad-config-value")


@pytest.mark.parametrize(
    ("value", "said"), [(8, "no input"), (-1, "no input"), (32767, "no input"), (None, "two pairs")]
)
def test_pairs_hold_each_input_of_a_group_once(value: int | None, said: str) -> None:
    given = module()
    pairs = np.array(given["pairs"])
    pairs[1, 9] = pairs[1, 10] if value is None else value
    with pytest.raises(MalformedCheckpoint, match=said) as caught:
        mlx_quant.dequantize(CONFIG, given | {"pairs": mx.array(pairs)})
    assert (caught.value.code, caught.value.where) == ("group-index-out-of-range", "pairs")


def test_a_checkpoint_is_read_and_planned_without_its_data() -> None:
    found = Checkpoint.open(MODEL, candidates=True)
    assert len(found.modules) == 14
    assert found.modules[UP].dtype == mx.float16
    assert found.dequantize(UP).shape == (found.modules[UP].out_features, found.modules[UP].in_features)
