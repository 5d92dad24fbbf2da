"""Whose hands a CPU decodes with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlx_quant.weights import cpu


@pytest.fixture(params=["kernels", "NumPy"])
def hands(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test, with the CPU's kernels and again without."""
    if request.param == "NumPy":
        with cpu.without():
            yield
        return
    if cpu.kernels(cpu.WORTH) is None:
        pytest.skip("there are no kernels for this machine, or it has no C++ compiler")
    yield
