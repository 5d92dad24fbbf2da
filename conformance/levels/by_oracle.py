"""Judging by the oracle."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..bits.array import Array
from ..cases.verdict import Verdict, asked_of, compared
from ..formats.module import Pack
from ..subjects.ask import decode


def by_oracle(pack: Pack) -> Callable[[Any, Any], Verdict]:
    """Judges the decode of a module against the oracle's, which is computed once."""

    @cache
    def expected(oracle: Any) -> Array:
        return asked_of(oracle, pack.config, pack.tensors, pack.dtype)

    return lambda subject, oracle: compared(decode(subject, pack.config, pack.tensors, pack.dtype), expected(oracle))
