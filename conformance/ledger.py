"""What was checked, how much of it, and what that proves: the table at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass

from .compare import Difference
from .data import INSTALLED


@dataclass(frozen=True)
class Level:
    """One kind of evidence.

    ``floor`` is the number of checks below which a run proves nothing, and ``installed_floor`` the same for an
    installed suite, which carries two of the real checkpoints.
    """

    id: str
    title: str
    proves: str
    floor: int
    installed_floor: int


LEVELS = (
    Level("vectors", "upstream vectors", "equal bits to auto-gptq 0.7.1 and autoawq 0.2.9", 132, 132),
    Level("policies", "written policies", "one fixed answer where upstream readers disagree", 25, 25),
    Level("synthetic", "generated packs", "equal bits to the reference on every option and edge", 2000, 2000),
    Level("refusals", "refusals", "a typed error, never a guess or a crash, for unreadable input", 74, 74),
    Level("modules", "real checkpoints", "equal bits to the reference on what real quantisers packed", 168, 28),
    Level("digests", "the same, upstream", "equal SHA-256 to auto-gptq's and autoawq's own decode", 168, 28),
    Level("generation", "recitation in mlx-lm", "text and perplexity of transformers on the reference", 12, 2),
    Level("faults", "broken on purpose", "the recitation notices a broken convention", 14, 5),
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

    def add(self, level: str, *, modules: int = 0, weights: int = 0) -> None:
        """Record one check that ran to its end."""
        count = self.counts[level]
        count.checks += 1
        count.modules += modules
        count.weights += weights

    def compared(self, level: str, result: Difference) -> None:
        """Record one comparison of a module, and fail the test where bits differ."""
        self.add(level, modules=1, weights=result.total)
        self.counts[level].mismatches += result.wrong
        assert not result, result.text

    def below_floor(self) -> list[str]:
        return [
            f"{level.title}: {self.counts[level.id].checks} checks, at least {floor} expected"
            for level in LEVELS
            if self.counts[level.id].checks < (floor := level.installed_floor if INSTALLED else level.floor)
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
                    level.proves,
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
