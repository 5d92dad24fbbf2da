"""quanto in the core: the map beside config.json, and what it says that is not decoded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat
from mlx_quant.dialects.registry import schemes_of

MODEL = Path(__file__).parents[2] / "fixtures/quanto_int8/models/qwen2-quanto-int8"
UP = "model.layers.0.mlp.up_proj"


def test_a_map_is_all_that_says_so() -> None:
    found = Checkpoint.open(MODEL, candidates=True)
    assert "quantization_config" not in found.config
    assert found.sources == ("quanto_qmap.json",)
    assert len(found.modules) == 14
    assert (found.modules[UP].shape, found.modules[UP].dtype) == ((512, 256), mx.bfloat16)


@pytest.mark.parametrize(
    ("entry", "kind", "code"),
    [
        ({"weights": "qint4", "activations": "none"}, MalformedCheckpoint, "config-contradiction"),
        ({"weights": "qint3", "activations": "none"}, UnsupportedFormat, "unsupported-layout"),
        ({"weights": "qfloat8_e4m3fn", "activations": "none"}, MalformedCheckpoint, "config-contradiction"),
        ({"weights": "qfloat8_e5m2", "activations": "none"}, UnsupportedFormat, "unsupported-layout"),
        ({"activations": "none"}, MalformedCheckpoint, "bad-config-value"),
        ("qint8", MalformedCheckpoint, "bad-config-value"),
        (None, MalformedCheckpoint, "bad-config-value"),
    ],
)
def test_an_entry_that_is_not_read_is_refused(entry: Any, kind: type[QuantError], code: str, tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    file = tmp_path / "model/quanto_qmap.json"
    said = json.loads(file.read_text())
    said = {name: value for name, value in said.items() if name != UP} if entry is None else said | {UP: entry}
    file.write_text(json.dumps(said))
    with pytest.raises(kind) as caught:
        Checkpoint.open(tmp_path / "model", candidates=True)
    assert caught.value.code == code


def test_activations_are_noted() -> None:
    found = schemes_of({"quant_method": "quanto", "weights": "int8", "activations": "int8"}).default
    assert found.packing == "quanto_int8"
    assert "activations" in found.notes[0]
