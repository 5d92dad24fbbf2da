"""The strategies of formats draw what they claim: every flag, and the edges at which decoders err.

What a format must reach is in ``tests/reach``, in the file of its name; a format of integers without one is held to
what all of those have in common.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.formats.registry import FORMATS
from conformance.levels.drawn import drawn, strategies_of
from tests.reach.common import INTEGERS, WORDS, Edges

ENOUGH = 400


def _reach(id: str) -> Any:
    name = f"tests.reach.{id}"
    return import_module(name) if find_spec(name) else SimpleNamespace(FLAGS=INTEGERS, EDGES=WORDS)


def _marks(id: str, label: str) -> Any:
    """A format by itself; the strategies of its other widths differ in nothing else."""
    return () if label == FORMATS[id].SLUG else pytest.mark.slow


LABELS = [(id, label) for id, format in FORMATS.items() for label in strategies_of(format)]


def _edges(id: str, label: str) -> Edges:
    reach = _reach(id)
    return {**reach.EDGES, **(getattr(reach, "OF_ITSELF", {}) if label == FORMATS[id].SLUG else {})}


@pytest.mark.parametrize(
    ("id", "label"), [pytest.param(id, label, marks=_marks(id, label), id=label) for id, label in LABELS]
)
def test_every_flag_of_a_strategy_occurs(id: str, label: str) -> None:
    assert {flag for pack in drawn(label, ENOUGH) for flag in pack.flags} == set(_reach(id).FLAGS)


@pytest.mark.parametrize(
    ("id", "label", "edge"),
    [
        pytest.param(id, label, edge, marks=_marks(id, label), id=f"{label}-{edge}")
        for id, label in LABELS
        for edge in _edges(id, label)
    ],
)
def test_the_strategies_reach_the_edges(id: str, label: str, edge: str) -> None:
    reached = any(_edges(id, label)[edge](pack) for pack in drawn(label, ENOUGH))
    assert reached == (edge not in getattr(_reach(id), "NEVER", ()))


def test_every_file_is_of_a_format() -> None:
    names = {file.stem for file in (Path(__file__).parents[1] / "reach").glob("*.py")}
    assert names - {"common", "__init__"} <= FORMATS.keys()
