"""A case carries the flag of the dialect that a loader meets in it, so that it is held only to those it claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..cases.case import Case
from ..formats.dialects import DIALECTS, NAMES
from ..suite import cases


class _Heard(BaseException):
    """Ends a case at its first question: the harness does not hold it for an answer."""

    def __init__(self, *configs: Any) -> None:
        self.dialects = {dialect.NAME for dialect in DIALECTS for config in configs if dialect.reads(config)}


class _Listener:
    name, framework = "listener", "array"
    refusals: tuple[type[Exception], ...] = ()

    def dequantize(self, config: Any, tensors: Any, *, dtype: Any = None) -> Any:
        raise _Heard(config)

    def to_affine(self, config: Any, tensors: Any) -> Any:
        raise _Heard(config)

    def load(self, folder: Path) -> Any:
        raise _Heard(*(found for file in folder.glob("*.json") for found in _objects(json.loads(file.read_text()))))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)


def _heard(case: Case, oracle: Any) -> set[str]:
    try:
        case.judge(_Listener(), oracle)
    except _Heard as heard:
        return heard.dialects
    raise AssertionError(f"{case.id} asks nothing")


def test_a_case_carries_the_flag_of_its_dialect(oracle: Any) -> None:
    heard = {case.id: _heard(case, oracle) for case in cases()}
    assert not {case.id: found for case in cases() if (found := heard[case.id] - case.flags)}
    # Nor has it one that nobody meets in it, but where it is the files that are unsound.
    assert not {case.id for case in cases() if (case.flags & NAMES) - heard[case.id] and not case.declined}
    assert set().union(*heard.values()) == NAMES
