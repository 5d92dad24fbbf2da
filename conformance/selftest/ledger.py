"""What was checked, how much of it, and what that proves: the table at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass

from ..cases.verdict import Verdict
from ..corpus.fixtures import INSTALLED


@dataclass(frozen=True)
class Level:
    """One kind of evidence.

    ``floor`` is the number of checks below which a run proves nothing, and ``installed_floor`` the same for an
    installed suite, which carries four of the real checkpoints.
    """

    id: str
    title: str
    proves: str
    floor: int
    installed_floor: int


LEVELS = (
    Level("vectors", "upstream vectors", "equal bits to auto-gptq 0.7.1 and autoawq 0.2.9", 132, 132),
    Level("policies", "written policies", "one fixed answer where upstream readers disagree", 47, 47),
    Level("synthetic", "generated packs", "equal bits to the reference on every option and edge", 2000, 2000),
    Level("refusals", "refusals", "a typed error, never a guess or a crash, for unreadable input", 92, 92),
    Level("arithmetic", "arithmetic, enumerated", "every 16-bit scale times every q - z, rounded once", 68, 68),
    Level("layouts", "layouts, proven", "every bit is read from its place, for each shape", 538, 538),
    Level("checkpoints", "checkpoint folders", "the right files, settings and modules, or a refusal", 164, 148),
    Level("modules", "real checkpoints", "equal bits to the reference on what real quantisers packed", 168, 56),
    Level("digests", "the same, upstream", "equal SHA-256 to auto-gptq's and autoawq's own decode", 168, 56),
    Level("generation", "recitation in mlx-lm", "text and perplexity of transformers on the reference", 12, 4),
    Level("faults", "broken on purpose", "the recitation notices a broken convention", 14, 7),
    Level("mutants", "faults of real loaders", "a level that should notice each of them does", 107, 107),
)


@dataclass
class Count:
    checks: int = 0
    modules: int = 0
    weights: int = 0
    mismatches: int = 0


class Ledger:
    def __init__(self) -> None:
        self.counts = {level.id: Count() for level in LEVELS}
        self.excused: dict[str, str] = {}

    def add(self, level: str, *, modules: int = 0, weights: int = 0) -> None:
        """Record one check that ran to its end."""
        count = self.counts[level]
        count.checks += 1
        count.modules += modules
        count.weights += weights

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
            for level in LEVELS
            if level.id not in self.excused
            and self.counts[level.id].checks < (floor := level.installed_floor if INSTALLED else level.floor)
        ]

    def table(self) -> list[str]:
        rows = [("level", "checks", "modules", "weights", "wrong", "proves")]
        for level in LEVELS:
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
