"""What is looked up on a CPU is, bit for bit, what MLX's operations make of it weight by weight."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant.weights import host, lookup, pieces
from mlx_quant.weights.integer import Integer
from mlx_quant.weights.listed import Listed
from mlx_quant.weights.lowered import Lowered
from mlx_quant.weights.planes import Planes
from mlx_quant.weights.scaled import Scaled
from mlx_quant.weights.shifted import Shifted
from mlx_quant.weights.summed import Summed
from mlx_quant.weights.twice import Twice

pytestmark = pytest.mark.usefixtures("hands")

RNG = np.random.default_rng(33)
DTYPES = (mx.float16, mx.bfloat16, mx.float32)


def octets(*shape: int) -> mx.array:
    return mx.array(RNG.integers(0, 256, shape, dtype=np.uint8))


def floats(*shape: int, dtype: mx.Dtype = mx.float32) -> mx.array:
    return mx.array(RNG.normal(size=shape) * 0.1).astype(dtype)


def words(*shape: int) -> mx.array:
    return mx.array(RNG.integers(0, 2**32, shape, dtype=np.uint32))


def folded(kind: type[Shifted], height: int, columns: int, count: int, *, across: bool, dtype: mx.Dtype) -> Shifted:
    scales = (1, columns) if across else (count, 1)
    parts = (floats(*scales, dtype=dtype), floats(*scales, dtype=dtype))
    return kind(octets(height, columns), (4, 0), 4, count, *parts, (count, columns))


def weights() -> dict[str, Any]:
    """By what is told apart: rows of lists for one row, for many, for some that end in the middle, for all."""
    found: dict[str, Any] = {
        "FP8 in blocks whose last ones are short": Scaled(
            octets(300, 1100), "e4m3", floats(3, 9), (128, 128), mx.bfloat16
        ),
        "FP8 by outputs": Scaled(octets(40, 600), "e4m3", floats(40, 1), (1, 600), mx.float16),
        "FP8 by matrix": Scaled(octets(90, 512), "e4m3", floats(1, 1), (90, 512), mx.float16),
        "experts": Scaled(octets(3, 40, 1024), "e4m3", floats(3, 1, 8), (40, 128), mx.bfloat16),
        "scales rounded first": Scaled(octets(64, 512), "e4m3", floats(1, 4), (64, 128), mx.bfloat16, True),
        "FP4": Scaled(octets(50, 64), "e2m1", floats(50, 4), (1, 32), mx.bfloat16),
        "FP4 without -0": Scaled(octets(50, 64), "e2m1-unsigned-zero", floats(50, 4), (1, 32), mx.float16),
        "NF4": Listed(octets(40 * 48), floats(16), floats(40 * 96 // 64), 64, (40, 96), mx.float16),
        "planes": Planes(octets(25, 96), floats(1, dtype=mx.bfloat16), False),
        "planes, divided": Planes(octets(25, 96), floats(1, dtype=mx.float16), True),
        "signed bytes": Twice(octets(30, 700).view(mx.int8), floats(30), 1 / 127, mx.float32),
    }
    for dtype in DTYPES:
        name = str(dtype)
        found |= {
            f"groups in rows, {name}": folded(Shifted, 25, 64, 49, across=False, dtype=dtype),
            f"groups in columns, {name}": folded(Shifted, 25, 64, 49, across=True, dtype=dtype),
            f"one row, {name}": folded(Shifted, 1, 64, 1, across=False, dtype=dtype),
            f"lowered, {name}": folded(Lowered, 25, 64, 50, across=False, dtype=dtype),
            f"summed, {name}": Summed(
                words(40, 16), floats(2, 40, dtype=dtype), floats(2, 40, dtype=dtype), 4, 128, 64
            ),
            f"integers, {name}": Integer(words(40, 16), octets(2, 40) & 15, floats(2, 40, dtype=dtype), 4, 128, 64),
        }
    return found


@pytest.fixture(params=[1 << 18, 3000], ids=["whole", "in blocks"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Also so small that blocks end inside planes, and inside rows that share a list, on several threads."""
    monkeypatch.setattr(lookup, "_BLOCK_WEIGHTS", request.param)
    if request.param < 1 << 18:
        monkeypatch.setattr(host, "_COPIED", 1)
        monkeypatch.setattr(pieces, "ON_CPU", 700)
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
    for known in (host._cores, host._threads):
        known.cache_clear()
    yield
    for known in (host._cores, host._threads):
        known.cache_clear()


@pytest.mark.parametrize(("name", "weight"), weights().items(), ids=weights())
def test_looked_up_is_computed(name: str, weight: Any, block: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    module = next(found for kind in type(weight).__mro__ if hasattr(found := sys.modules[kind.__module__], "pays"))

    def paid(*sizes: int) -> bool:
        asked.append(lookup.pays(*sizes))
        return asked[-1]

    for dtype in DTYPES:
        monkeypatch.setattr(module, "pays", paid)
        found = weight.dense(dtype)
        monkeypatch.setattr(module, "pays", lambda *_: False)
        due = weight.dense(dtype)
        as_bits = {2: mx.uint16, 4: mx.uint32}[dtype.size]
        assert found.shape == due.shape == weight.shape
        assert np.array_equal(np.array(found.view(as_bits)), np.array(due.view(as_bits)))
    assert set(asked) == {True}, "these are long enough to be looked up"
