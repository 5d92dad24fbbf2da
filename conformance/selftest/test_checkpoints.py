"""Real tiny checkpoints: every packed module in bits, then the whole model by ear."""

from __future__ import annotations

from typing import Any

import pytest

from ..cases.case import Case
from ..corpus.fixtures import checkpoint, present_checkpoints, recital, upstream_digests
from ..formats.registry import FORMATS
from ..levels.real_modules import digests, modules
from ..levels.recitation import (
    NEW_TOKENS,
    PROMPT_TOKENS,
    complaint,
    dense_weights,
    run_mlx,
    run_transformers,
    windows,
)
from ..mutants.rewrites import FAULTS
from .ledger import Ledger

PRESENT = present_checkpoints()
# The first reads the whole text, the others a sixth of it: all of it takes minutes, and stands in the evidence.
WHOLE = PRESENT[:1]
FALTERING = {name for format in FORMATS.values() for name in format.FILES.falters}
BROKEN = [(fault, name) for fault in FAULTS for name in fault.checkpoints if name in PRESENT]


@pytest.mark.parametrize("case", list(modules()), ids=lambda case: case.id)
def test_every_module_equals_the_oracle(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("modules", case.judge(subject, oracle))


@pytest.mark.parametrize("case", list(digests()), ids=lambda case: case.id)
def test_every_module_has_the_digest_of_upstream_s_own_decode(
    case: Case, subject: Any, oracle: Any, ledger: Ledger
) -> None:
    ledger.judged("digests", case.judge(subject, oracle))


@pytest.mark.parametrize("name", PRESENT)
def test_every_module_was_digested(name: str) -> None:
    assert checkpoint(name).modules.keys() == upstream_digests()[name].keys()


def share() -> int:
    return len(windows()) // 6


@pytest.mark.parametrize("name", PRESENT)
def test_recites_as_transformers_does(name: str, subject: Any, oracle: Any, ledger: Ledger) -> None:
    count = None if name in WHOLE else share()
    got = run_mlx(checkpoint(name), dense_weights(subject, oracle, checkpoint(name)), count)
    assert not complaint(oracle, name, got, count)
    ledger.add("generation", modules=len(checkpoint(name).modules))
    # The run it is held to recites; otherwise equal text would mean equal babble.
    due, ids = run_transformers(oracle, name, count), recital()[1]
    recited = 32 if name in FALTERING else NEW_TOKENS
    assert due.tokens[:recited] == ids[PROMPT_TOKENS : PROMPT_TOKENS + recited]
    assert due.perplexity < 1.2


@pytest.mark.parametrize(("fault", "name"), BROKEN, ids=[f"{fault.id}-{name}" for fault, name in BROKEN])
def test_a_broken_convention_is_heard(fault: Any, name: str, subject: Any, oracle: Any, ledger: Ledger) -> None:
    got = run_mlx(checkpoint(name), dense_weights(subject, oracle, checkpoint(name), fault), share())
    assert complaint(oracle, name, got, share()), f"{fault.mechanism}: still recites at perplexity {got.perplexity:.4g}"
    ledger.add("faults")
