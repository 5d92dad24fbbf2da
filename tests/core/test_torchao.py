"""torchao in the core: what the headers of files say, hostile ones, and weights that are rounded twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import mlx_quant
from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.weights.integer import Integer
from mlx_quant.weights.stepped import Stepped

MODEL = Path(__file__).parents[2] / "fixtures/torchao_int8/models/qwen2-torchao-int8"
UP = "model.layers.0.mlp.up_proj"
ENTRY: dict[str, Any] = {
    "_type": "Int8Tensor",
    "_data": {"block_size": [1, 64], "dtype": {"_type": "torch.dtype", "_data": "bfloat16"}},
    "_tensor_data_names": ["qdata", "scale"],
}


def config(metadata: Any) -> dict[str, Any]:
    return {"quant_method": "torchao", "metadata": metadata}


def tensors() -> dict[str, mx.array]:
    return {"_weight_qdata": mx.ones((8, 64), dtype=mx.int8), "_weight_scale": mx.ones((8, 1))}


def folder(path: Path, change: Any) -> Path:
    """A copy of the model whose header says what ``change`` makes of it."""
    shutil.copytree(MODEL, path)
    with safe_open(path / "model.safetensors", framework="pt") as opened:
        said = dict(opened.metadata())
    own = mx.load(str(path / "model.safetensors"))
    change(said, own)
    mx.save_safetensors(str(path / "model.safetensors"), own, said)
    return path


def test_the_header_gives_each_module_its_scheme() -> None:
    found = Checkpoint.open(MODEL)
    up, q = found.modules[UP], found.modules["model.layers.0.self_attn.q_proj"]
    assert (up.scheme.layout, up.scheme.bits, up.scheme.block) == ("IntxUnpackedToInt8Tensor", 5, (1, 64))
    assert (q.scheme.layout, q.scheme.bits, q.scheme.block) == ("Int8Tensor", 8, (1, 256))
    assert (up.dtype, up.scales, q.dtype, q.scales) == (mx.bfloat16, mx.bfloat16, mx.bfloat16, mx.float32)


def test_a_float32_scale_rounds_twice() -> None:
    # 127 times it lies just below the middle of 127.5 and 128. In float32 it is the middle, which goes to 128.
    scale = mx.array(np.array([[0x3F80C183]], np.uint32).view(np.float32))
    words = mx.full((1, 4), 255, dtype=mx.uint8).view(mx.uint32)
    found = Stepped(Integer(words, mx.full((1, 1), 128, dtype=mx.uint8), scale, 8, 4, 4), mx.bfloat16)
    assert found.integer.dense(mx.bfloat16).tolist() == [[127.5] * 4]
    assert found.dense().tolist() == [[128.0] * 4]
    assert found.dense().dtype == mx.bfloat16


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        (lambda said, own: said.clear(), MalformedCheckpoint, "bad-config-value"),
        (lambda said, own: said.pop(f"{UP}.weight"), MalformedCheckpoint, "bad-config-value"),
        (lambda said, own: said.update({f"{UP}.weight": "{"}), MalformedCheckpoint, "bad-config-value"),
        (
            lambda said, own: said.update({f"{UP}.weight": '{"_type": "Tensor"}'}),
            MalformedCheckpoint,
            "config-contradiction",
        ),
        (
            lambda said, own: said.update({f"{UP}.bias": json.dumps(ENTRY)}),
            UnsupportedFormat,
            "unsupported-layout",
        ),
        (
            lambda said, own: said.update({"model.layers.0.mlp.experts.gate_up_proj": json.dumps(ENTRY)}),
            UnsupportedFormat,
            "unsupported-layout",
        ),
        (lambda said, own: own.pop(f"{UP}._weight_scale"), MalformedCheckpoint, "missing-tensor"),
        (lambda said, own: own.pop(f"{UP}._weight_qdata"), MalformedCheckpoint, "missing-tensor"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(change: Any, kind: type[QuantError], code: str, tmp_path: Path) -> None:
    with pytest.raises(kind) as caught:
        Checkpoint.open(folder(tmp_path / "model", change))
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["x" * (1 << 17), "[" * 100_000, "9" * 100_000, '{"_type": {}}', "{}"])
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        mlx_quant.dequantize(config({"weight": text}), tensors())
    assert caught.value.code == "bad-config-value"


def test_other_keys_of_a_header_are_no_descriptions() -> None:
    entries = {"weight": json.dumps(ENTRY), "format": "pt", "note": "[" * 100_000, "number": "9" * 100_000}
    assert mlx_quant.dequantize(config(entries), tensors()).tolist() == [[1.0] * 64] * 8


@pytest.mark.parametrize("kind", ["Int4Tensor", "Int4TilePackedTo4dTensor", "NF4Tensor"])
def test_other_classes_are_refused_by_name(kind: str) -> None:
    with pytest.raises(UnsupportedFormat, match=kind) as caught:
        _ = schemes_of(config({"weight": json.dumps(ENTRY | {"_type": kind})})).default
    assert caught.value.code == "unsupported-layout"
    assert "mslk" in mlx_quant.formats()["torchao-int4"].reason


def test_shards_must_say_the_same(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    (tmp_path / "model/model.safetensors").unlink()
    names = {}
    for number, block in enumerate(([1, 64], [1, 32])):
        entry = ENTRY | {"_data": ENTRY["_data"] | {"block_size": block}}
        file = f"model-{number}.safetensors"
        save_file({f"t{number}": np.ones(2, np.float32)}, tmp_path / "model" / file, {"x.weight": json.dumps(entry)})
        names[f"t{number}"] = file
    (tmp_path / "model/model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    with pytest.raises(MalformedCheckpoint) as caught:
        Checkpoint.open(tmp_path / "model")
    assert caught.value.code == "config-contradiction"


def test_scales_of_another_dtype_are_told_when_they_are_rounded(tmp_path: Path) -> None:
    kept = mlx_quant.convert(MODEL, tmp_path / "kept", target="affine", progress=False)
    narrowed = mlx_quant.convert(
        MODEL, tmp_path / "narrowed", target="affine", params_dtype=mx.bfloat16, progress=False
    )
    assert not any("scales rounded" in text for text in kept.exact)
    assert any("scales rounded" in text for text in narrowed.exact)
