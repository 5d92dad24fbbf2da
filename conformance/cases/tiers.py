"""Three kinds of demand, so that a correct decoder without our checks, or with another policy, can be told so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .case import Case

SOUND, POLICY, UNSOUND = TIERS = ("sound", "policy", "unsound")
MEANING = {
    SOUND: "decoding sound data, which has one reading",
    POLICY: "what is written down where readers part: stored zero points of all ones, borrows, scales not finite",
    UNSOUND: "refusing input that has something wrong",
}
# What of a module's data or spelling has readers of both kinds among those that made the format.
DISPUTED = frozenset({"policy", "zero-point-0"})


def tier_of(case: Case) -> str:
    """The tier of a case of the suite."""
    if case.declined:
        # A decoder that gives NaN for NaN has refused nothing, and read nothing wrong.
        not_finite = case.level == "arithmetic" or (case.question is not None and "finite" in case.question.code)
        return POLICY if not_finite else UNSOUND
    return POLICY if case.flags & DISPUTED or case.level == "policies" else SOUND
