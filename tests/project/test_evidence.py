"""No format is enabled without evidence that is complete, of this suite, and of all that the suite has for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

import mlx_quant
from conformance import SUITE_VERSION
from conformance.formats.registry import FORMATS
from conformance.levels.drawn import strategies_of
from conformance.run.evidence import DRAWN, REQUIRED, Evidence, asked, mutants_of, upstream_of
from mlx_quant.packings.registry import PACKINGS
from mlx_quant.packings.status import EVIDENCE_REQUIRED, status_of

DECLARED = [id for id, packing in PACKINGS.items() if packing.STATUS == "enabled"]
WRITE_IT = "write it again: mlx-quant-conformance run --format {} --evidence mlx_quant/packings/evidence"


def test_evidence_decides() -> None:
    assert EVIDENCE_REQUIRED
    assert set(DECLARED) <= FORMATS.keys()


@pytest.mark.parametrize("id", DECLARED)
def test_a_format_that_is_declared_enabled_is(id: str) -> None:
    status = mlx_quant.formats()[id]
    assert status.status == "enabled", status.reason
    assert status.evidence
    assert status.evidence.suite == SUITE_VERSION, WRITE_IT.format(id)
    assert status.evidence.complete
    assert not status.evidence.missing
    assert status.evidence.levels.keys() >= set(REQUIRED) - {"mutants"} - FORMATS[id].NOT_APPLICABLE.keys()


@pytest.mark.parametrize("id", DECLARED)
def test_the_evidence_is_of_all_that_the_suite_has(id: str) -> None:
    evidence, format = mlx_quant.formats()[id].evidence, FORMATS[id]
    assert evidence
    # How many packs are drawn is known without drawing them all.
    counted = Counter(level for level, _ in asked(format, count=1))
    counted["generated"] += (DRAWN - 1) * len(strategies_of(format))
    # Of MLX's packed form only what is claimed counts: groups of unequal size have none.
    found = {level: count["cases"] for level, count in evidence.levels.items()}
    if "affine" not in format.NOT_APPLICABLE:
        assert 0 < found.pop("affine") <= counted.pop("affine")
    assert found == counted, WRITE_IT.format(id)
    asked_mutants = len(mutants_of(format))
    assert evidence.mutants == {"asked": asked_mutants, "caught": asked_mutants}, WRITE_IT.format(id)
    assert list(evidence.upstream) == upstream_of(format)


def test_without_its_evidence_a_format_is_a_candidate(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = status_of(PACKINGS["gptq"], tmp_path)
    assert found.status == "candidate"


def test_one_failure_or_one_level_that_asked_nothing_leaves_evidence_incomplete() -> None:
    whole = Evidence("x", {level: {"cases": 1, "weights": 1} for level in REQUIRED}, [], {"asked": 2, "caught": 2})
    assert whole.to_dict()["complete"]
    assert not replace(whole, failed=["vectors/a: differs"]).to_dict()["complete"]
    assert replace(whole, mutants={"asked": 2, "caught": 1}).missing == ["mutants"]
    assert replace(whole, mutants={"asked": 0, "caught": 0}).missing == ["mutants"]
    for level in set(REQUIRED) - {"mutants"}:
        lacking = {key: count for key, count in whole.levels.items() if key != level}
        assert replace(whole, levels=lacking).missing == [level]
