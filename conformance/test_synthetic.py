"""Generated packs: the subject gives the oracle's bits, whatever the options."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given

from .arrays import Array
from .compare import difference
from .ledger import Ledger
from .strategies import Pack, packs
from .subjects import decode


def _check(pack: Pack, subject: Any, oracle: Any, ledger: Ledger) -> None:
    for flag in sorted(pack.flags):
        event(flag)
    expected = decode(oracle, pack.config, pack.tensors, pack.dtype)
    got = decode(subject, pack.config, pack.tensors, pack.dtype)
    assert isinstance(expected, Array), expected
    assert isinstance(got, Array), got
    ledger.compared("synthetic", difference(got, expected))


@given(pack=packs("gptq"))
def test_gptq_equals_the_oracle(pack: Pack, subject: Any, oracle: Any, ledger: Ledger) -> None:
    _check(pack, subject, oracle, ledger)


@given(pack=packs("awq"))
def test_awq_equals_the_oracle(pack: Pack, subject: Any, oracle: Any, ledger: Ledger) -> None:
    _check(pack, subject, oracle, ledger)
