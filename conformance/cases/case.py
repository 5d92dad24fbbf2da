"""A case: one question put to a subject, and the verdict. The suite's tests and the mutants ask the same questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from .digest import digest
from .question import Question
from .tiers import DISPUTED, POLICY, SOUND, UNSOUND
from .verdict import Verdict


@dataclass(frozen=True)
class Case:
    """``judge(subject, oracle)`` gives the verdict; most cases know the answer and leave the oracle alone.

    What follows is for claims and reports: the slug of the ``format``, the ``level``, the ``claim`` that is tested
    ("dense", "affine", "checkpoint" or "logits"), ``flags`` of what is asked, whether a refusal is ``declined``
    rightly, the ``question`` where one module is all there is to it, and the ``tier`` (see :mod:`.tiers`).
    """

    id: str
    judge: Callable[[Any, Any], Verdict]
    format: str = ""
    level: str = ""
    claim: str = "dense"
    flags: frozenset[str] = frozenset()
    declined: bool = False
    question: Question | None = None
    tier: str = ""

    @cached_property
    def asked(self) -> str:
        """A digest of the question."""
        return digest(self.judge)

    def called(self, id: str, level: str) -> Case:
        """The same under another name."""
        judge, flags = partial(getattr, self, "judge"), partial(getattr, self, "flags")
        # One that was not looked up yet is not looked up here.
        tier = vars(self).get("tier", "")
        return Listed(id, self.format, level, self.claim, judge, flags, self.declined, tier)

    def __repr__(self) -> str:
        return f"Case({self.id})"


class Asked(Case):
    """A case that is one question; its flags and its tier are looked up in it, which may not be made yet."""

    def __init__(self, id: str, judge: Callable[[Any, Any], Verdict], level: str, claim: str, question: Question):
        # Its class is frozen.
        vars(self).update(
            id=id,
            judge=judge,
            format=question.format,
            level=level,
            claim=claim,
            declined=bool(question.code),
            question=question,
        )

    flags = cached_property(lambda self: self.question.flags)
    tier = cached_property(lambda self: tier_of(self))


class Listed(Case):
    """A case whose question and flags are made when they are first looked at: a list of cases needs neither."""

    def __init__(
        self,
        id: str,
        format: str,
        level: str,
        claim: str,
        judge: Callable[[], Callable[[Any, Any], Verdict]],
        flags: Callable[[], frozenset[str]],
        declined: bool = False,
        tier: str = "",
    ) -> None:
        """``judge`` and ``flags`` give what is called so; ``tier`` is said where it is not :func:`tier_of`'s."""
        # Its class is frozen.
        vars(self).update(id=id, format=format, level=level, claim=claim, declined=declined)
        vars(self).update({"_judge": judge, "_flags": flags} | ({"tier": tier} if tier else {}))

    judge = cached_property(lambda self: vars(self)["_judge"]())
    flags = cached_property(lambda self: vars(self)["_flags"]())
    tier = cached_property(lambda self: tier_of(self))


def tier_of(case: Case) -> str:
    """The tier of a case of the suite."""
    if case.declined:
        # A decoder that gives NaN for NaN has refused nothing, and read nothing wrong.
        not_finite = case.level == "arithmetic" or (case.question is not None and "finite" in case.question.code)
        return POLICY if not_finite else UNSOUND
    return POLICY if case.flags & DISPUTED or case.level == "policies" else SOUND
