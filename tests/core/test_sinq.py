"""SINQ in the core: rows and tiles, three roundings, and a file that describes each module."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat, convert, dequantize, to_affine
from mlx_quant.checkpoint.outline import Outline
from mlx_quant.dialects.registry import method_of, schemes_of
from mlx_quant.weights import pieces

MODEL = Path(__file__).parents[2] / "fixtures/sinq/models/llama-sinq-4bit"
BESIDE = "model.safetensors.index.json.meta.json"
# Of the layer whose weights have so large a kurtosis that sinq leaves the scales of inputs alone, and of another.
ALONE, SCALED = "model.layers.1.self_attn.k_proj", "model.layers.0.mlp.up_proj"


def described(**own: Any) -> dict[str, Any]:
    meta = {
        "nbits": 4,
        "group_size": 32,
        "shape": [2, 32],
        "axis": 1,
        "packing": "4bit_u8",
        "method": "sinq_plain",
        "compute_dtype": "torch.bfloat16",
    }
    return {"quant_method": "sinq", "modules": {"": {"meta": meta | own}}}


def module(columns: Any = 1.0) -> dict[str, mx.array]:
    """Output 0 has codes of 9, output 1 codes of 3."""
    return {
        "W_q": mx.full((1, 32), 0x93, mx.uint8),
        "meta.scale": mx.array([[0.7], [0.3]], dtype=mx.float16),
        "meta.zero": mx.array([[0.3], [1.0]], dtype=mx.float16),
        "meta.scale2": mx.broadcast_to(mx.array(columns, dtype=mx.float16), (1, 32)),
    }


def bits(array: mx.array) -> np.ndarray:
    return np.array(array.view(mx.uint32 if array.itemsize == 4 else mx.uint16))


def test_steps_are_rounded_in_the_dtype_that_both_are_promoted_to() -> None:
    zero, scale, column = (np.float32(np.float16(x)) for x in (0.3, 0.7, 1.3))
    wide = (np.float32(9) - zero) * scale * column
    due = mx.array(wide).astype(mx.bfloat16)
    assert dequantize(described(), module(1.3), candidates=True)[0, 0].item() == due.item()
    half = np.float16(np.float16(np.float16(9 - zero) * scale) * column)
    found = dequantize(described(compute_dtype="torch.float16"), module(1.3), candidates=True)
    assert (found.dtype, found[0, 0].item()) == (mx.float16, float(half))
    assert float(half) != float(np.float16(wide))


def test_one_zero_point_for_all_is_rounded_first() -> None:
    single = module() | {"meta.zero": mx.array(7.3, dtype=mx.float16)}
    found = dequantize(described(), single, candidates=True)
    zero = mx.array(7.3, dtype=mx.float16).astype(mx.bfloat16).item()
    step = mx.array(9 - zero).astype(mx.bfloat16).item() * float(np.float16(0.7))
    assert found[0, 0].item() == mx.array(step, dtype=mx.float32).astype(mx.bfloat16).item()


def test_blocks_make_the_same_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint.open(MODEL, candidates=True)
    whole = bits(checkpoint.dequantize(SCALED))
    monkeypatch.setattr(pieces, "ON_CPU", 3 * 256)
    assert np.array_equal(whole, bits(Checkpoint.open(MODEL, candidates=True).dequantize(SCALED)))


def test_an_affine_form_is_there_where_scales_of_inputs_are_1() -> None:
    form = to_affine(described(), module(), candidates=True)
    assert (form.group_size, form.bits, form.scales.dtype) == (32, 4, mx.float16)
    assert form.scales.tolist() == module()["meta.scale"].tolist()
    for config, tensors, why in (
        (described(), module(1.5), "every input has a scale"),
        (described(method="sinq_nf4"), module(), "not evenly spaced"),
    ):
        with pytest.raises(UnsupportedFormat, match=why) as caught:
            to_affine(config, tensors, candidates=True)
        assert caught.value.code == "unsupported-affine"


@pytest.mark.parametrize(
    "said",
    [
        {"quant_method": "sinq"},
        {"quant_method": "SINQ"},
        {"quant_method": "sinq", "method": "asinq"},
        {"quantization_method": "sinq"},
        {"sinq": True},
        {"is_sinq": True},
        {"sinq_quantized": True},
        {"backend": "sinq"},
        {"approach": "SINQ"},
        {"sinq_version": "auto"},
        {},
    ],
)
def test_every_spelling_of_the_method(said: dict[str, Any]) -> None:
    config = said | {"modules": described()["modules"]}
    assert method_of(config) == "sinq"
    assert schemes_of(config).default.packing == "sinq"


def test_a_description_beside_another_method_is_a_leftover() -> None:
    assert method_of({"quant_method": "gptq", "bits": 4, "modules": described()["modules"]}) == "gptq"


def test_modules_are_described_by_their_names() -> None:
    checkpoint = Checkpoint.open(MODEL, candidates=True)
    assert len(checkpoint.modules) == 15
    assert not checkpoint.warnings
    found = checkpoint.modules[SCALED]
    assert (found.out_features, found.in_features, found.dtype) == (512, 256, mx.bfloat16)
    assert found.scheme.layout == "uniform"
    assert dict(found.scheme.shapes)["scale.shape"] == (2048, 1)
    assert Outline(checkpoint).examine(SCALED) == checkpoint.examine(SCALED)


def rewritten(folder: Path, edit: Any) -> Path:
    shutil.copytree(MODEL, folder)
    said = json.loads((folder / BESIDE).read_text())
    edit(said)
    (folder / BESIDE).write_text(json.dumps(said))
    return folder


def said_of(name: str, **changes: Any) -> Any:
    return lambda said: said[name]["meta"].update(changes)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (said_of(SCALED, shape=[2**30, 2**30]), "bad-shape"),
        (said_of(SCALED, shape=[0, 256]), "bad-config-value"),
        (said_of(SCALED, shape=[10**400, 1]), "bad-config-value"),
        (said_of(SCALED, nbits=float("nan")), "config-contradiction"),
        (said_of(SCALED, packing=["4bit_u8"]), "unsupported-layout"),
        (said_of(SCALED, packing="3bit_32", nbits=3), "bad-dtype"),
        (said_of(SCALED, method={}), "bad-config-value"),
        (said_of(SCALED, method="sinq"), "config-contradiction"),
        (said_of(SCALED, compute_dtype=[]), "bad-config-value"),
        (said_of(SCALED, **{"scale.shape": [1024, 2]}), "bad-shape"),
        (said_of(SCALED, **{"zero.shape": "x"}), "bad-config-value"),
        (lambda said: said.pop(SCALED), "bad-config-value"),
        (lambda said: said.update({SCALED: []}), "bad-config-value"),
        (lambda said: said.clear(), "bad-config-value"),
    ],
)
def test_what_describes_a_module_is_not_believed(tmp_path: Path, edit: Any, code: str) -> None:
    with pytest.raises(QuantError) as caught:
        Checkpoint.open(rewritten(tmp_path / "source", edit), candidates=True)
    assert caught.value.code == code, caught.value


def test_without_the_description_nothing_is_guessed(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    shutil.copytree(MODEL, folder)
    (folder / BESIDE).unlink()
    with pytest.raises(MalformedCheckpoint, match="fetch that file"):
        Checkpoint.open(folder, candidates=True)


def test_a_label_of_other_groups_is_remarked_on(tmp_path: Path) -> None:
    folder = rewritten(tmp_path / "source", said_of(SCALED, group_size=128))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = Checkpoint.open(folder, candidates=True)
        found = checkpoint.dequantize(SCALED)
    assert any("groups of 128, and the tensors of 64" in text for text in checkpoint.warnings)
    assert np.array_equal(bits(found), bits(Checkpoint.open(MODEL, candidates=True).dequantize(SCALED)))


def test_a_conversion_packs_what_has_no_scales_of_inputs(tmp_path: Path) -> None:
    report = convert(MODEL, tmp_path / "out", target="affine", candidates=True)
    said = " ".join(map(str, report.exact))
    assert "rounds" in said
    tensors = mx.load(str(tmp_path / "out/model.safetensors"))
    assert isinstance(tensors, dict)
    assert f"{ALONE}.biases" in tensors
    assert f"{SCALED}.biases" not in tensors
    assert not [name for name in tensors if "rotary_emb" in name]
    assert not (tmp_path / "out" / BESIDE).exists()
