"""quanto's narrow codes in the core: two roundings, and shapes that only the model tells."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat, dequantize
from mlx_quant.checkpoint.outline import Outline
from mlx_quant.checkpoint.shapes import shapes_of
from mlx_quant.files.folder import TensorInfo
from mlx_quant.weights.lowered import Lowered

MODEL = Path(__file__).parents[2] / "fixtures/quanto_int4/models/qwen2-quanto-int4"
UP, OUT, QUERY = "model.layers.0.mlp.up_proj", "model.layers.0.self_attn.o_proj", "model.layers.0.self_attn.q_proj"
CONFIG = {"quant_method": "quanto", "weights": "qint4"}


def module(groups: int = 4, size: int = 32, dtype: mx.Dtype = mx.float16) -> dict[str, mx.array]:
    rng = np.random.default_rng(groups * size)
    scales, shifts = (mx.array(rng.random((groups, 1)).astype(np.float32)).astype(dtype) for _ in range(2))
    codes = mx.array(rng.integers(0, 256, (-(-groups // 2), size)).astype(np.uint8))
    return {"weight._data._data": codes, "weight._scale": scales, "weight._shift": shifts}


def test_both_steps_are_rounded() -> None:
    scale, shift = np.float16(0.7), np.float16(0.3)
    scales, shifts = (mx.full((1, 1), float(value), mx.float16) for value in (scale, shift))
    found = Lowered(mx.array([[0x03]], dtype=mx.uint8), (0, 4), 4, 1, scales, shifts, (1, 1))
    due = np.float16(np.float16(3 * np.float32(scale)) - np.float32(shift))
    assert due != np.float16(3 * np.float64(scale) - np.float64(shift))
    assert found.dense().item() == due
    assert found.dense(mx.float32).item() == due


def test_the_first_groups_lie_in_the_low_halves() -> None:
    ones, none = mx.ones((3, 1)), mx.zeros((3, 1))
    found = Lowered(mx.array([[0x21, 0x43], [0x65, 0x87]], dtype=mx.uint8), (0, 4), 4, 3, ones, none, (3, 2))
    assert found.dense().tolist() == [[1, 3], [5, 7], [2, 4]]


def test_biases_are_shifts() -> None:
    weight = dequantize(CONFIG | {"in_features": 64}, module(), dtype=mx.float32)
    assert weight.shape == (2, 64)
    given = module()
    scales, shifts = given["weight._scale"], given["weight._shift"]
    found = Lowered(given["weight._data._data"], (0, 4), 4, 4, scales, shifts, (2, 64)).native()
    assert found.biases is not None
    assert found.biases.tolist() == (-shifts.reshape(2, 2)).tolist()
    assert (found.group_size, found.bits) == (32, 4)


@pytest.mark.parametrize(("inputs", "shape"), [(32, (4, 32)), (64, (2, 64)), (128, (1, 128))])
def test_inputs_make_the_matrix(inputs: int, shape: tuple[int, int]) -> None:
    assert dequantize(CONFIG | {"in_features": inputs}, module()).shape == shape


def test_nothing_is_guessed() -> None:
    with pytest.raises(UnsupportedFormat, match="in_features") as caught:
        dequantize(CONFIG, module())
    assert caught.value.code == "unsupported-layout"
    with pytest.raises(MalformedCheckpoint, match="do not make a matrix") as wrong:
        dequantize(CONFIG | {"in_features": 96}, module())
    assert wrong.value.code == "bad-shape"


def test_the_model_tells_shapes() -> None:
    found = Checkpoint.open(MODEL)
    assert found.modules[UP].shape == (512, 256)
    assert found.modules[OUT].scheme.shape == (256, 256)
    assert Outline(found).examine(UP).parts == found.examine(UP).parts


def bent(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model_type": "of-tomorrow"}, "unsupported-layout"),
        ({"intermediate_size": 640}, "bad-shape"),
        ({"hidden_size": 384}, "bad-shape"),
    ],
)
def test_another_model_is_refused(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    with pytest.raises(QuantError) as caught:
        Checkpoint.open(bent(tmp_path, lambda config: config.update(change)))
    assert caught.value.code == code


def test_a_bias_tells_outputs() -> None:
    config = {"model_type": "of-tomorrow"}
    infos = {
        name: TensorInfo(name, "F16", shape, "a.safetensors")
        for name, shape in (("x.weight._data._data", (64, 32)), ("y.weight._data._data", (64, 32)), ("x.bias", (8,)))
    }
    assert shapes_of(config, infos) == {"x": (8, None)}
    assert shapes_of(config, {"z.weight._data": infos["x.bias"]}) == {}
