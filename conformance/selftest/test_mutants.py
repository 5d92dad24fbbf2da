"""The suite's teeth: every mutant against one level; ``mlx-quant-conformance mutants`` is the whole matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..bits.array import Array
from ..corpus import kept as examples
from ..corpus.fixtures import checkpoint, heard_checkpoints
from ..kills.matrix import Cases, Row, faults, first_kill
from ..levels.by_oracle import by_oracle
from ..levels.catalogue import MET
from ..mutants import MUTANTS, Bug, Mutant, Subject
from ..mutants.wrap import spoilt
from .ledger import Ledger

CASES = Cases()
HEARD = heard_checkpoints()
KEPT = list(examples.kept())
UNSPOILT = Mutant("none", Bug.BIAS, "no fault", (), (), decode=spoilt(lambda parts, config, tensors: parts))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_a_level_that_should_notice_it_does(mutant: Mutant, oracle: Any, ledger: Ledger) -> None:
    level = min(mutant.killed_by, key=tuple(MET).index)
    cases = CASES.of(level, mutant)
    kill = first_kill(Subject(mutant, oracle), oracle, cases)
    assert kill, f"{level} does not notice that {mutant.mechanism}"
    if mutant.decode:
        # It is the fault that was noticed, and not the decoder that it spoils.
        noticed = next(case for case in cases if case.id == kill.case)
        assert not noticed.judge(Subject(UNSPOILT, oracle), oracle).complaint
    ledger.add("mutants")


@pytest.mark.parametrize("level", ["vectors", "policies", "refusals", "modules"])
def test_the_decoder_that_mutants_spoil_is_sound(level: str, oracle: Any) -> None:
    """Where nothing of the suite's own making is decoded; elsewhere what is due comes from the same arithmetic."""
    assert first_kill(Subject(UNSPOILT, oracle), oracle, CASES.of(level)) is None


@pytest.mark.parametrize(("id", "pack"), KEPT, ids=[id for id, _ in KEPT])
def test_what_was_kept_still_catches_its_mutant(id: str, pack: Any, oracle: Any) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.id == id)
    assert by_oracle(pack)(Subject(mutant, oracle), oracle).complaint


def test_no_loader_can_harm_the_suite_s_own_files(oracle: Any) -> None:
    """Those that use up, or write into, what they load, on a real checkpoint: the suite lends copies."""

    def contents() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in sorted(checkpoint(HEARD[0]).folder.iterdir())}

    before, harmful = contents(), [mutant for mutant in MUTANTS if mutant.id in ("LC-06", "LC-09")]
    assert len(harmful) == 2
    for mutant in harmful:
        case = next(case for case in CASES.of("generation") if case.id.endswith(HEARD[0]))
        case.judge(Subject(mutant, oracle), oracle)
        assert contents() == before


def test_the_catalogue_is_complete() -> None:
    assert len(MUTANTS) >= 60
    assert len({mutant.id for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.bug for mutant in MUTANTS} == set(Bug)
    for mutant in MUTANTS:
        assert mutant.links, mutant.id
        assert mutant.killed_by, mutant.id
        assert [mutant.decode, mutant.load, mutant.repack].count(None) == 2, mutant.id
        assert set(mutant.killed_by) <= MET.keys(), mutant.id


def test_a_survivor_and_an_idle_level_are_faults() -> None:
    found = faults([Row(MUTANTS[0], dict.fromkeys(MET))])
    assert any("survives" in line for line in found)
    assert sum("notices nothing" in line for line in found) == len(MET)


def test_a_mutant_that_only_falls_over_is_a_fault(oracle: Any) -> None:
    def falls_over(ask: Any, config: Any, tensors: Any, dtype: str | None) -> Array:
        raise RuntimeError

    broken = Mutant("none", Bug.BIAS, "falls over", (), (), decode=falls_over)
    kill = first_kill(Subject(broken, oracle), oracle, CASES.of("vectors"))
    assert kill
    assert kill.manner == "crashed"
    assert any("noticed only by crashed" in line for line in faults([Row(broken, {"vectors": kill})]))
