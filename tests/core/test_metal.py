"""transformers' metal in the core: MLX's own codes under other names, and three roundings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant import Checkpoint, QuantError, UnsupportedFormat, convert
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.weights import pieces
from mlx_quant.weights.summed import Summed

MODEL = Path(__file__).parents[2] / "fixtures/metal/models/qwen2-metal-4bit-g64"
MODULE = "model.layers.0.mlp.up_proj"


def bits(array: mx.array) -> np.ndarray:
    return np.array(array.view(mx.uint32 if array.itemsize == 4 else mx.uint16))


def packed(width: int, dtype: mx.Dtype = mx.bfloat16) -> dict[str, mx.array]:
    """Codes as MLX itself packs them."""
    weight = mx.random.normal((16, 128), key=mx.random.key(width)).astype(dtype)
    words, scales, biases = mx.quantize(weight, group_size=32, bits=width)
    return {"weight": words, "scales": scales, "qbiases": biases}


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_mlx_s_own_arrays_are_kept_as_they_are(width: int, dtype: mx.Dtype) -> None:
    tensors = packed(width, dtype)
    config = {"quant_method": "metal", "bits": width, "group_size": 32}
    form = mlx_quant.to_affine(config, tensors)
    assert (form.group_size, form.bits) == (32, width)
    for kept, stored in ((form.scales, "scales"), (form.biases, "qbiases")):
        assert np.array_equal(bits(kept), bits(tensors[stored]))
    assert mx.array_equal(form.weight, tensors["weight"]).item()
    wide = [tensors[name].astype(mx.float32) for name in ("scales", "qbiases")]
    due = mx.dequantize(tensors["weight"], *wide, group_size=32, bits=width)
    found = mlx_quant.dequantize(config, tensors, dtype=mx.float32)
    # MLX may fuse product and sum, which transformers does not.
    assert mx.allclose(found, due, rtol=1e-6, atol=1e-6).item()


def test_product_and_sum_are_rounded_to_float32_first() -> None:
    # 1 + 2**-11 + 2**-40 is above the middle of two numbers of float16, and float32 cannot tell.
    scale, offset = mx.array([[2.0**-11]]), mx.array([[1.0]])
    words = mx.array([[0x11111111]], dtype=mx.uint32)
    plain = Summed(words, scale, offset, 4, 8, 8).dense(mx.float16)
    above = Summed(words, scale + 2.0**-34, offset, 4, 8, 8)
    assert plain.tolist() == [[1.0] * 8]
    assert above.dense(mx.float16).tolist() == [[1.0] * 8]
    assert super(Summed, above).dense(mx.float16).tolist() == [[1.0009765625] * 8]


def test_pieces_make_the_same_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    config, tensors = {"quant_method": "metal", "bits": 8, "group_size": 32}, packed(8)
    whole = mlx_quant.dequantize(config, tensors)
    monkeypatch.setattr(pieces, "ON_CPU", 3 * 128)
    assert np.array_equal(bits(whole), bits(mlx_quant.dequantize(config, tensors)))


def test_groups_that_mlx_has_not_are_dense_only() -> None:
    tensors = {"weight": mx.zeros((2, 6), mx.uint32), "scales": mx.ones((2, 3)), "qbiases": mx.ones((2, 3))}
    config = {"quant_method": "metal", "bits": 4, "group_size": 16}
    assert mlx_quant.dequantize(config, tensors).shape == (2, 48)
    with pytest.raises(UnsupportedFormat, match="groups of 16") as caught:
        mlx_quant.to_affine(config, tensors)
    assert caught.value.code == "unsupported-affine"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"bits": True}, "bad-config-value"),
        ({"bits": 4.0}, "bad-config-value"),
        ({"bits": 3}, "unsupported-bits"),
        ({"bits": 2**70}, "unsupported-bits"),
        ({"group_size": -1}, "bad-config-value"),
        ({"group_size": 2**70}, "bad-shape"),
    ],
)
def test_settings_that_transformers_has_not_are_refused(settings: Any, code: str) -> None:
    config = {"quant_method": "metal", "group_size": 32} | settings
    with pytest.raises(QuantError) as caught:
        mlx_quant.dequantize(config, packed(4))
    assert caught.value.code == code


def test_defaults_are_those_of_transformers() -> None:
    found = schemes_of({"quant_method": "METAL"}).default
    assert (found.packing, found.bits, found.group_size) == ("metal", 4, 64)


def test_a_real_model_becomes_mlx_s_own_without_a_rounding(tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(MODEL)
    module = checkpoint.modules[MODULE]
    assert (module.out_features, module.in_features, module.dtype) == (512, 256, mx.bfloat16)
    report = convert(MODEL, tmp_path / "out", target="auto")
    assert report.target == "affine"
    assert list(report.exact) == ["14 modules packed: codes and scales are kept, and nothing is rounded"]
    stored, written = (mx.load(str(folder / "model.safetensors")) for folder in (MODEL, tmp_path / "out"))
    for theirs, ours in (("scales", "scales"), ("qbiases", "biases")):
        assert np.array_equal(bits(stored[f"{MODULE}.{theirs}"]), bits(written[f"{MODULE}.{ours}"]))
    assert mx.array_equal(stored[f"{MODULE}.weight"], written[f"{MODULE}.weight"]).item()
