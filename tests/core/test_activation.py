"""AutoAWQ's scaled activations: divisors in the columns of the layer that follows, held to AutoAWQ's own model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant import Checkpoint, MalformedCheckpoint, UnsupportedFormat

MODEL = Path(__file__).parents[2] / "fixtures/awq_gemm/models/starcoder2-awq-scaled-g32"
NEXT = "model.layers.1.mlp.c_proj"
DIVISORS = "model.layers.1.mlp.act.scales"


def changed(path: Path, change: Any) -> Path:
    """A copy of the model with other tensors."""
    shutil.copytree(MODEL, path)
    tensors = dict(mx.load(str(path / "model.safetensors")))
    change(tensors)
    mx.save_safetensors(str(path / "model.safetensors"), tensors, {"format": "pt"})
    return path


def logits(path: Path, tokens: mx.array) -> np.ndarray:
    model, _ = mlx_quant.load(path, target="dense", dtype=mx.float32, progress=False)
    return np.array(model(tokens[None])[0])


def test_the_model_gives_the_logits_of_autoawq(tmp_path: Path) -> None:
    said = mx.load(str(MODEL / "autoawq-logits.bin"), format="safetensors")
    due = np.array(said["logits"])
    found = logits(MODEL, said["tokens"])
    assert np.abs(found - due).max() < 1e-5 * np.abs(due).max()
    # Nothing of that holds where activations are left as they are.
    other = changed(tmp_path / "ones", lambda own: own.update({DIVISORS: mx.ones(256, dtype=mx.float16)}))
    assert np.abs(logits(other, said["tokens"]) - due).max() > 1e-2 * np.abs(due).max()


@pytest.mark.parametrize("dtype", [None, mx.float16, mx.bfloat16, mx.float32])
def test_a_column_is_divided_in_float32(dtype: mx.Dtype | None) -> None:
    found = Checkpoint.open(MODEL)
    tensors = {leaf: found.tensor(info.name) for leaf, info in found.modules[NEXT].weight_tensors.items()}
    config = found.quantization_config
    divisors = tensors.pop("act.scales")
    plain = mlx_quant.dequantize(config, tensors, dtype=mx.float32)
    # A quotient of two float32 in float64 is rounded to float32 as it would be at once.
    exact = (np.array(plain).astype(np.float64) / np.array(divisors).astype(np.float64)).astype(np.float32)
    due = mx.array(exact).astype(dtype or mx.float16)
    for weight in (
        found.dequantize(NEXT, dtype),
        mlx_quant.dequantize(config, tensors | {"act.scales": divisors}, dtype=dtype),
    ):
        assert weight.dtype == due.dtype
        assert mx.array_equal(weight, due)
    assert not mx.array_equal(plain.astype(due.dtype), due)


def test_no_affine_form_holds_a_divisor_an_input() -> None:
    found = Checkpoint.open(MODEL)
    with pytest.raises(UnsupportedFormat) as caught:
        found.affine(NEXT)
    assert caught.value.code == "unsupported-affine"
    assert found.affine("model.layers.1.mlp.c_fc").bits == 4


@pytest.mark.parametrize(
    ("divisors", "code"),
    [
        (mx.ones(255, dtype=mx.float16), "bad-shape"),
        (mx.ones((1, 256), dtype=mx.float16), "bad-shape"),
        (mx.ones(256, dtype=mx.int32), "unsupported-dtype"),
        (mx.zeros(256, dtype=mx.float16), "non-finite-scales"),
        (mx.full(256, float("nan"), dtype=mx.float16), "non-finite-scales"),
        (mx.full(256, float("inf"), dtype=mx.float16), "non-finite-scales"),
    ],
)
def test_divisors_that_do_not_fit_are_refused(divisors: mx.array, code: str, tmp_path: Path) -> None:
    path = changed(tmp_path / "model", lambda own: own.update({DIVISORS: divisors}))
    with pytest.raises((MalformedCheckpoint, UnsupportedFormat)) as caught:
        Checkpoint.open(path).dequantize(NEXT)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "name", ["model.layers.1.mlp.act_fn.act.scales", "h.1.ffn.act.scales", "h.1.mlp.gelu_impl.scales"]
)
def test_one_that_no_known_layer_follows_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = changed(tmp_path / "model", lambda own: own.update({name: own.pop(DIVISORS)}))
    with pytest.raises(UnsupportedFormat, match="scaled activation") as caught:
        Checkpoint.open(path)
    assert caught.value.code == "unsupported-layout"
