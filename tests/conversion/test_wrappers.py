"""Models that see or hear: their language model is decoded for mlx-lm, and every other tensor goes along unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import numpy as np
import pytest
import torch

import mlx_quant
from mlx_quant import Checkpoint, UnsupportedFormat, convert
from tests.conversion import tiny_models

PATCHES = {
    "qwen": "model.visual.patch_embed.proj.weight",
    "gemma3": "vision_tower.proj.weight",
    "kimi": "vision_tower.proj.weight",
}


@pytest.mark.filterwarnings("ignore::mlx_quant.QuantWarning")
@pytest.mark.parametrize("name", tiny_models.WRAPPERS)
@pytest.mark.parametrize("target", ["dense", "affine"])
def test_the_language_model_is_decoded_and_the_rest_goes_along(name: str, target: Any, tmp_path: Path) -> None:
    config, other = tiny_models.wrapper(name), "model.vision_tower.proj.weight"
    patches = next((tensor for start, tensor in PATCHES.items() if name.startswith(start)), other)
    eye = torch.arange(3 * 8, dtype=torch.float32).reshape(3, 8).half()
    dense = tiny_models.write(tmp_path / "source", config, besides={patches: eye})
    expected = tiny_models.logits(config, dense)
    (tmp_path / "source" / "preprocessor_config.json").write_text("{}")
    report = convert(tmp_path / "source", tmp_path / "out", target=target, params_dtype="float32", progress=False)
    assert f"mlx-lm does not use 1 tensors ({patches}, ...)" in "\n".join(report.notes)
    model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    assert np.abs(tiny_models.ran(model) - expected).max() < 1e-4 * np.abs(expected).max()
    written = mx.load(str(tmp_path / "out" / report.files[0]))
    assert written[patches].tolist() == eye.tolist()
    assert (tmp_path / "out" / "preprocessor_config.json").exists()
    stored = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "quantization_config" not in stored["text_config"]
    if target == "affine":
        assert len(report.affine) > 8


def test_every_door_opens_a_model_that_sees(tmp_path: Path) -> None:
    dense = tiny_models.write(tmp_path / "source", tiny_models.wrapper("qwen3_vl"))
    module = "model.language_model.layers.1.mlp.down_proj"
    checkpoint = Checkpoint.open(tmp_path / "source")
    assert checkpoint.dequantize(module).tolist() == dense[f"{module}.weight"].tolist()


def test_a_model_that_mlx_lm_has_not_is_refused(tmp_path: Path) -> None:
    config = tiny_models.wrapper("mistral3")
    tiny_models.write(tmp_path / "source", config)
    stored = json.loads((tmp_path / "source" / "config.json").read_text())
    (tmp_path / "source" / "config.json").write_text(json.dumps(stored | {"model_type": "idefics3"}))
    for door in (lambda: convert(tmp_path / "source", tmp_path / "out"), lambda: mlx_quant.load(tmp_path / "source")):
        with pytest.raises(UnsupportedFormat) as caught:
            door()
        assert caught.value.code == "unsupported-architecture"
