"""What was checked, how much of it, and what that proves: the table at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass

from .compare import Difference


@dataclass(frozen=True)
class Level:
    """One kind of evidence. ``floor`` is the least number of checks below which a run proves nothing."""

    id: str
    title: str
    proves: str
    floor: int


LEVELS = (
    Level("vectors", "upstream vectors", "equal bits to auto-gptq 0.7.1 and autoawq 0.2.9", 60),
    Level("policies", "written policies", "one fixed answer where upstream readers disagree", 5),
    Level("synthetic", "generated packs", "equal bits to the reference on every option and edge", 2000),
    Level("refusals", "refusals", "a typed error, never a guess or a crash, for input it cannot read", 20),
    Level(
        "modules",
        "real checkpoints",
        "equal bits to the reference on every module the real quantisers packed",
        160,
    ),
    Level("digests", "the same, upstream", "equal SHA-256 to auto-gptq's and autoawq's own decode of them", 160),
    Level("generation", "recitation in mlx-lm", "same text and perplexity as transformers on the reference", 12),
    Level("faults", "broken on purpose", "the recitation notices a broken convention", 5),
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
            f"{level.title}: {self.counts[level.id].checks} checks, at least {level.floor} expected"
            for level in LEVELS
            if self.counts[level.id].checks < level.floor
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
