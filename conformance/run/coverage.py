"""How much of the suite a verdict is about: what was refused, and what was never asked, is not vouched for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..suite import cases
from .record import Report

# A loader gives weights in one of these forms, or in both.
FORMS = ("dense", "affine")


@dataclass(frozen=True)
class Coverage:
    """``answered`` of ``there`` cases got an answer, right or wrong."""

    answered: int
    there: int

    @property
    def percent(self) -> int:
        """Rounded down, so that 100 means all."""
        return 100 * self.answered // self.there if self.there else 0


def there_are() -> dict[str, dict[str, int]]:
    """How many cases the suite has: format, then claim, to a number."""
    found: dict[str, dict[str, int]] = {}
    for (format, claim), count in Counter((case.format, case.claim) for case in cases()).items():
        found.setdefault(format, {})[claim] = count
    return found


def coverage(report: Report, formats: frozenset[str] | None = None) -> Coverage:
    """Of the whole suite, or of some formats; whoever packs nothing is not held to owe the packed form."""
    forms = [form for form in FORMS if form in report.header.get("claims", ())] or [FORMS[0]]
    counts: dict[str, dict[str, int]] = report.header.get("suite_cases", {})
    due = {claim for own in counts.values() for claim in own if claim not in FORMS or claim in forms}
    there = sum(
        count
        for format, own in counts.items()
        if formats is None or format in formats
        for claim, count in own.items()
        if claim in due
    )
    answered = sum(
        record.verdict != "refused" and (formats is None or record.format in formats)
        for record in report.records
        if record.claim in due
    )
    return Coverage(answered, there)


def claimed(report: Report) -> frozenset[str]:
    """The formats that the loader says it reads, in whatever form."""
    info = report.header.get("info", {})
    affine = info.get("affine", {})
    return frozenset(info.get("formats", ())) | frozenset(affine.get("formats", ()))
