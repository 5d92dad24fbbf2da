"""The judge is judged: it knows right from wrong, and a fault in it is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.run import judging, trials

DOCS = Path(__file__).parents[2] / "docs"


def test_the_judge_is_sound() -> None:
    tried = list(trials.verdicts())
    assert {due for _, _, due in tried} == {True, False}
    assert not judging.complaints()


@pytest.mark.parametrize("fault", judging.faults(), ids=lambda fault: fault.id)
def test_a_fault_of_the_judge_is_noticed_for_what_it_is(fault: judging.Fault) -> None:
    """By a verdict that is wrong, not only because the judge falls over."""
    found = judging.noticed(fault)
    assert found
    assert not found[0].startswith("the judge falls over")


def test_what_is_published_of_the_judge_is_so() -> None:
    found = [(fault, judging.noticed(fault)) for fault in judging.faults()]
    assert (DOCS / judging.PAGE).read_text() == judging.table(found)
