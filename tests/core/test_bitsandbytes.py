"""bitsandbytes in the core: the numbers of its types, matrices in pieces, and what describes a module beside it."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat
from mlx_quant.checkpoint.outline import Outline
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.packings.bnb_4bit import VALUES
from mlx_quant.weights import pieces
from mlx_quant.weights.listed import Listed
from mlx_quant.weights.twice import Twice

FIXTURES = Path(__file__).parents[2] / "fixtures"
VECTORS = mx.load(str(FIXTURES / "bnb_4bit/vectors/bitsandbytes-0.50.2.safetensors"))
DOUBLE = FIXTURES / "bnb_4bit/models/qwen2-bnb-nf4-double"
MODULE = "model.layers.0.mlp.up_proj"
STATE = f"{MODULE}.weight.quant_state.bitsandbytes__nf4"


def bits(array: mx.array) -> np.ndarray:
    return np.array(array.view(mx.uint32 if array.itemsize == 4 else mx.uint16))


@pytest.mark.parametrize("kind", VALUES)
def test_the_numbers_are_those_that_upstream_writes_down(kind: str) -> None:
    stored = VECTORS[f"bnb-{kind}-b64/weight.quant_map"]
    own = mx.array(VALUES[kind], dtype=mx.float32)
    # Upstream's map has one zero, its kernels two.
    signed = np.flatnonzero(bits(own) != bits(stored)).tolist()
    assert signed == ([8] if kind == "fp4" else [])
    assert mx.array_equal(own, stored).item()


def test_the_high_half_of_a_byte_comes_first() -> None:
    table = mx.arange(16).astype(mx.float32)
    made = Listed(mx.array([0x12, 0x3F], dtype=mx.uint8), table, mx.array([1.0]), 32, (2, 2), mx.float32)
    assert made.dense().tolist() == [[1.0, 2.0], [3.0, 15.0]]


@pytest.mark.parametrize("shape", [(31, 33), (10, 72), (64, 64), (1, 1), (3, 64)])
def test_pieces_make_the_same_matrix(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    count = shape[0] * shape[1]
    codes, scales = rng.integers(0, 256, -(-count // 2)), rng.random(-(-count // 32))
    made = Listed(
        mx.array(codes.astype(np.uint8)),
        mx.array(VALUES["nf4"], dtype=mx.float32),
        mx.array(scales.astype(np.float32)),
        32,
        shape,
        mx.float16,
    )
    signed = mx.array(rng.integers(-128, 128, shape).astype(np.int8))
    rows = Twice(signed, mx.array(rng.random(shape[0]).astype(np.float32)), 1 / 127, mx.float32)
    whole = [made.dense(), rows.dense()]
    monkeypatch.setattr(pieces, "ON_CPU", 96)
    assert all(np.array_equal(bits(a), bits(b)) for a, b in zip(whole, [made.dense(), rows.dense()], strict=True))
    flat = np.stack([codes >> 4, codes & 15], axis=1).ravel()[:count]
    due = np.array(VALUES["nf4"], np.float32)[flat] * scales.astype(np.float32)[np.arange(count) // 32]
    assert np.array_equal(np.array(made.dense(mx.float32)).ravel(), due)


def test_neither_has_a_packed_form_in_mlx() -> None:
    weights = (
        Listed(mx.zeros(16, mx.uint8), mx.zeros(16), mx.ones(1), 32, (1, 32), mx.float16),
        Twice(mx.zeros((2, 32), mx.int8), mx.ones(2), 1 / 127, mx.float32),
    )
    for weight in weights:
        with pytest.raises(UnsupportedFormat, match="decode to dense") as caught:
            weight.native()
        assert caught.value.code == "unsupported-affine"


@pytest.mark.parametrize(
    ("config", "packing", "layout"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "bnb_4bit", "nf4"),
        ({"quant_method": "BitsAndBytes", "_load_in_4bit": True, "_load_in_8bit": False}, "bnb_4bit", "fp4"),
        # As published in 2023, without a method.
        ({"load_in_4bit": True, "bnb_4bit_use_double_quant": True, "bnb_4bit_quant_type": "nf4"}, "bnb_4bit", "nf4"),
        ({"load_in_8bit": True, "llm_int8_threshold": 6.0}, "bnb_int8", "int8"),
        ({"_load_in_8bit": True, "load_in_4bit": False, "bnb_4bit_quant_type": "fp4"}, "bnb_int8", "int8"),
    ],
)
def test_the_width_chooses_the_packing(config: Any, packing: str, layout: str) -> None:
    found = schemes_of(config).default
    assert (found.dialect, found.packing, found.layout) == ("bitsandbytes", packing, layout)


def rewritten(folder: Path, edit: Any) -> Path:
    shutil.copytree(DOUBLE, folder)
    tensors = mx.load(str(folder / "model.safetensors"))
    edit(tensors)
    mx.save_safetensors(str(folder / "model.safetensors"), tensors)
    return folder


def said(**changes: Any) -> Any:
    def edit(tensors: dict[str, mx.array]) -> None:
        state = json.loads(bytes(np.array(tensors[STATE]))) | changes
        tensors[STATE] = mx.array(np.frombuffer(json.dumps(state).encode(), np.uint8))

    return edit


def test_a_module_is_measured_by_what_lies_beside_it() -> None:
    checkpoint = Checkpoint.open(DOUBLE)
    module = checkpoint.modules[MODULE]
    assert (module.out_features, module.in_features, module.dtype) == (512, 256, mx.bfloat16)
    assert Outline(checkpoint).examine(MODULE) == checkpoint.examine(MODULE)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (said(shape=[256, 256]), "bad-shape"),
        (said(shape=[2**30, 2**30]), "bad-shape"),
        (said(shape=[512, 256, 1]), "unsupported-layout"),
        (said(blocksize=2**40), "bad-config-value"),
        (said(dtype="complex64"), "bad-config-value"),
        (lambda tensors: tensors.update({STATE: mx.zeros(100_000, mx.uint8)}), "bad-config-value"),
        (lambda tensors: tensors.update({STATE: mx.zeros(0, mx.uint8)}), "bad-config-value"),
        (lambda tensors: tensors.update({STATE: mx.full(10, 0xFF, mx.uint8)}), "bad-config-value"),
        (lambda tensors: tensors.update({STATE: mx.zeros(10, mx.float16)}), "bad-dtype"),
        (lambda tensors: tensors.pop(STATE), "missing-tensor"),
        (lambda tensors: tensors.pop(f"{MODULE}.weight"), "missing-tensor"),
        (lambda tensors: tensors.update({"x.experts.absmax": mx.zeros(2)}), "unsupported-layout"),
        (lambda tensors: tensors.update({"x.weight_absmax": mx.zeros(2)}), "unsupported-layout"),
        (lambda tensors: tensors.update({"x.SCB": mx.zeros(2)}), "missing-tensor"),
    ],
)
def test_what_describes_a_module_is_not_believed(tmp_path: Path, edit: Any, code: str) -> None:
    folder = rewritten(tmp_path / "source", edit)
    with pytest.raises(QuantError) as caught:
        Checkpoint.open(folder)
    assert caught.value.code == code, caught.value


def test_a_type_that_the_configuration_contradicts_is_remarked_on(tmp_path: Path) -> None:
    folder = rewritten(tmp_path / "source", lambda tensors: None)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["bnb_4bit_quant_type"] = "fp4"
    (folder / "config.json").write_text(json.dumps(config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = Checkpoint.open(folder)
        found = checkpoint.dequantize(MODULE)
    assert any("the tensors say nf4" in text for text in checkpoint.warnings)
    assert np.array_equal(bits(found), bits(Checkpoint.open(DOUBLE).dequantize(MODULE)))


def test_int8_under_the_name_of_4_bits_is_a_contradiction(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "bnb_int8/models/qwen2-bnb-int8", tmp_path / "source")
    config = json.loads((tmp_path / "source/config.json").read_text())
    for key in ("load_in_4bit", "_load_in_4bit", "load_in_8bit", "_load_in_8bit"):
        config["quantization_config"][key] = "4bit" in key
    (tmp_path / "source/config.json").write_text(json.dumps(config))
    with pytest.raises(MalformedCheckpoint, match="packed as bitsandbytes int8") as caught:
        mlx_quant.Checkpoint.open(tmp_path / "source")
    assert caught.value.code == "config-contradiction"
