"""Grouping tensors into modules by the suffixes that packings declare, however those are spelled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import pytest

from mlx_quant import MalformedCheckpoint, Scheme
from mlx_quant.checkpoint.modules import packed_modules
from mlx_quant.dialects.schemes import Uniform
from mlx_quant.files.folder import TensorInfo
from mlx_quant.packings import registry
from mlx_quant.packings.protocol import Measured

SCHEMES = Uniform(Scheme("gptq", "nested", 4, 64, "nested"))


@pytest.fixture
def nested(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packing whose suffixes are nested (``.weight.range``) and dotless (``_tiles``), around a plain ``.weight``."""
    packing = SimpleNamespace(
        ID="nested",
        TITLE="nested",
        STATUS="enabled",
        BITS=(4,),
        LAYOUTS=("nested",),
        MARKS=(".weight.range", "_tiles"),
        TENSORS=(".weight", ".weight.range", ".weight.range.inner", "_tiles"),
        recognises=lambda infos: True,
        measure=lambda scheme, infos: Measured(8, 16, mx.float16),
    )
    monkeypatch.setitem(registry.PACKINGS, "nested", packing)


def grouped(*names: str) -> dict[str, Any]:
    infos = {name: TensorInfo(name, "U8", (4,), f"{number}.safetensors") for number, name in enumerate(names)}
    found = packed_modules(infos, SCHEMES, candidates=True)
    return {name: {leaf: info.name for leaf, info in module.tensors.items()} for name, module in found.items()}


@pytest.mark.usefixtures("nested")
def test_suffixes_may_be_nested_or_have_no_dot() -> None:
    names = ("a.weight.range", "a.weight", "a.weight.range.inner", "a.bias", "b.gate_tiles", "c.weight", "d.bias")
    assert grouped(*names) == {
        "a": {
            "weight": "a.weight",
            "weight.range": "a.weight.range",
            "weight.range.inner": "a.weight.range.inner",
            "bias": "a.bias",
        },
        "b.gate": {"_tiles": "b.gate_tiles"},
    }


@pytest.mark.usefixtures("nested")
def test_the_file_of_a_module_is_that_of_its_codes() -> None:
    infos = {name: TensorInfo(name, "U8", (4,), file) for name, file in (("a.weight.range", "x"), ("a.weight", "y"))}
    (module,) = packed_modules(infos, SCHEMES, candidates=True).values()
    assert module.file == "y"
    assert module.weight_tensors.keys() == {"weight", "weight.range"}


def test_a_weight_beside_packed_tensors_is_dense_unless_the_packing_has_it() -> None:
    schemes = Uniform(Scheme("gptq", "gptq", 4, 64, "gptq"))
    infos = {name: TensorInfo(name, "F16", (4, 4), "x") for name in ("a.qweight", "a.weight")}
    with pytest.raises(MalformedCheckpoint) as caught:
        packed_modules(infos, schemes)
    assert (caught.value.code, caught.value.where) == ("unexpected-tensor", "x: a.weight")
