"""What was checked, how much of it, and what that proves: the table at the end of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..cases.verdict import Verdict
from ..corpus.fixtures import INSTALLED
from ..levels.catalogue import CHECKED


@dataclass
class Count:
    checks: int = 0
    modules: int = 0
    weights: int = 0
    mismatches: int = 0


class Ledger:
    def __init__(self) -> None:
        self.counts = {level.id: Count() for level in CHECKED}
        self.excused: dict[str, str] = {}

    def add(self, level: str, *, modules: int = 0, weights: int = 0) -> None:
        """Record one check that ran to its end."""
        count = self.counts[level]
        count.checks += 1
        count.modules += modules
        count.weights += weights

    def counted(self) -> dict[str, Any]:
        """As plain data, for a process that adds it to its own."""
        counts = {level: asdict(count) for level, count in self.counts.items()}
        return {"counts": counts, "excused": self.excused}

    def join(self, counted: dict[str, Any]) -> None:
        """Add what another process counted."""
        self.excused |= counted["excused"]
        for level, count in counted["counts"].items():
            own = self.counts[level]
            for name, number in count.items():
                setattr(own, name, getattr(own, name) + number)

    def excuse(self, level: str, reason: str) -> None:
        """Take a level out of the count for a subject that has nothing to show there; the table says so."""
        self.excused[level] = reason

    def judged(self, level: str, verdict: Verdict) -> None:
        """Record one case, and fail the test with its complaint if there is one."""
        self.add(level, modules=verdict.modules, weights=verdict.weights)
        self.counts[level].mismatches += verdict.wrong
        assert not verdict.complaint, verdict.complaint

    def below_floor(self) -> list[str]:
        return [
            f"{level.title}: {self.counts[level.id].checks} checks, at least {floor} expected"
            for level in CHECKED
            if level.id not in self.excused
            and self.counts[level.id].checks < (floor := level.installed_floor if INSTALLED else level.floor)
        ]

    def table(self) -> list[str]:
        rows = [("level", "checks", "modules", "weights", "wrong", "proves")]
        for level in CHECKED:
            count = self.counts[level.id]
            rows.append(
                (
                    level.title,
                    f"{count.checks:,}",
                    f"{count.modules:,}" if count.modules else "",
                    f"{count.weights:,}" if count.weights else "",
                    f"{count.mismatches:,}",
                    f"not judged: {self.excused[level.id]}" if level.id in self.excused else level.proves,
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return [
            "  ".join(
                cell.rjust(width) if 0 < column < 5 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
