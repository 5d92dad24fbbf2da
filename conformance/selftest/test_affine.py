"""MLX's packed form: codes and scales kept, biases as near as their dtype allows; what cannot be packed is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ..cases.case import Case
from ..levels.affine import repacks
from ..mutants import Bug, Mutant, Subject
from ..mutants.repacking import NO_FORM, sound
from .ledger import Ledger


@pytest.mark.parametrize("case", list(repacks()), ids=lambda case: case.id)
def test_is_kept_or_refused(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    if not hasattr(subject, "to_affine"):
        ledger.excuse("affine", f"{subject.name} has no to_affine()")
        pytest.skip("the subject decodes only")
    verdict = case.judge(subject, oracle)
    if verdict.manner == "refused":
        ledger.add("affine", modules=1)
    else:
        ledger.judged("affine", verdict)


@pytest.mark.parametrize("case", list(repacks())[::6], ids=lambda case: case.id)
def test_the_repacker_that_mutants_spoil_is_sound(case: Case, oracle: Any) -> None:
    unspoilt = Subject(Mutant("none", Bug.BIAS, "no fault", (), (), repack=sound), oracle)
    verdict = case.judge(unspoilt, oracle)
    assert not verdict.complaint or NO_FORM in verdict.complaint
