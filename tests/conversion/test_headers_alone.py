"""What is told of real checkpoints from their headers alone, as of a Hub repo, against what their data say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlx_quant.cli.inspection import inspect

# Whether inputs have scales of their own is in SINQ's data; from headers alone no packed form is promised.
_IN_THE_DATA = {"llama-sinq-4bit"}
REAL = sorted((Path(__file__).parents[2] / "fixtures").glob("*/models/*/config.json"))


@pytest.mark.parametrize("config", REAL, ids=lambda config: config.parent.name)
def test_headers_tell_what_the_data_do(config: Path) -> None:
    """Every packing stands in for what is not read, and each of these has the order that its configuration says."""
    told, read = (inspect(config.parent, data=data).to_dict() for data in (False, True))
    assert (told.pop("read"), read.pop("read")) == ("headers", "data")
    assert set(read.pop("warnings")) <= set(told.pop("warnings"))
    if config.parent.name in _IN_THE_DATA:
        promised, kept = ([each["affine"] for each in found.pop("outcomes")] for found in (told, read))
        assert promised == [0] * len(kept)
        assert max(kept) > 0
    assert told == read
