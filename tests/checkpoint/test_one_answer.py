"""One answer by every door: a module's weight is the same by dequantize, Checkpoint, convert and load."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import numpy as np
import pytest
from mlx.utils import tree_flatten

import mlx_quant
from conformance.bits.frameworks import to_framework
from conformance.corpus.fixtures import CHECKPOINTS
from conformance.formats.folder import Folder
from conformance.formats.registry import FORMATS
from conformance.levels.folders.every import real, shelves
from tests.conftest import packed_checkpoints

# Sound ones, by id: their format, and how they are drawn or read, once one is asked.
FOLDERS: dict[str, tuple[str, Callable[[], Folder]]] = {
    outline.id: (outline.format, partial(shelf.folder, outline.id))
    for shelf in shelves()
    for outline in shelf.outlines
    if outline.code is None
}
FOLDERS |= {f"real-{name}": (CHECKPOINTS[name].SLUG, partial(real, name)) for name in packed_checkpoints()}
NAMES = {id: id.removeprefix(f"{format}-") for id, (format, _) in FOLDERS.items()}
# What formats have in common has their names before it; of those, each has one in three by itself every day.
COMMON = Counter(NAMES.values())


def _marks(number: int, id: str) -> Any:
    shared = COMMON[NAMES[id]] > len(FORMATS) // 2
    return pytest.mark.slow if shared and number % 3 else ()


DAILY = [pytest.param(id, marks=_marks(number, id)) for number, id in enumerate(FOLDERS)]


def bits(array: Any) -> tuple[Any, ...]:
    return str(array.dtype), array.shape, np.array(mx.contiguous(array).view(mx.uint8)).tobytes()


@pytest.mark.parametrize("id", DAILY)
def test_a_module_has_one_weight(id: str) -> None:
    _, folder_of = FOLDERS[id]
    folder = folder_of()
    assert folder.packed
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = folder.write(Path(scratch))
        checkpoint = mlx_quant.Checkpoint.open(written, candidates=True)
        report = mlx_quant.convert(written, Path(scratch, "out"), candidates=True, progress=False)
        converted: dict[str, mx.array] = {}
        for file in report.files:
            converted |= mx.load(str(Path(scratch, "out", file)))
        model, _ = mlx_lm.utils.load_model(Path(scratch, "out"))
        loaded = dict(tree_flatten(model.parameters()))
        assert checkpoint.modules.keys() == folder.packed.keys()
        for name, module in folder.packed.items():
            tensors = {leaf: to_framework(array, "mlx") for leaf, array in module.tensors.items()}
            expected = bits(mlx_quant.dequantize(module.config, tensors, candidates=True))
            assert bits(checkpoint.dequantize(name)) == expected, name
            if name in report.dropped:
                continue
            assert bits(converted[f"{name}.weight"]) == expected, name
            assert bits(loaded[f"{name}.weight"]) == expected, name


def test_every_format_and_every_real_checkpoint_is_among_them() -> None:
    assert len(FOLDERS) > 60
    assert {f"real-{name}" for name in packed_checkpoints()} <= FOLDERS.keys()


def test_each_format_and_each_common_folder_is_asked_every_day() -> None:
    asked = [str(param.values[0]) for param in DAILY if not param.marks]
    assert {FOLDERS[id][0] for id in asked} == {format for format, _ in FOLDERS.values()}
    assert {NAMES[id] for id in asked} == COMMON.keys()
