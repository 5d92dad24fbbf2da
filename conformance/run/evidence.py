"""What there is to say for a format before it may be enabled: every level that applies, and the mutants of its faults.

A subject of today is asked, and the answer is kept beside the packing: which levels ran, how many cases and weights
each, against which upstream packages. It is complete when every level that every format must have was asked something,
nothing failed, and every mutant was noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .. import SUITE_VERSION
from ..cases.case import Case
from ..corpus.fixtures import checkpoint, present_checkpoints, produced_vectors, upstream_digests, vectors
from ..formats.protocol import Format
from ..kills.matrix import Cases, Row, meet
from ..levels import drawn, generation, real_modules
from ..levels.folders.every import cases as folder_cases
from ..mutants import MUTANTS, Mutant
from ..subjects.subject import Subject
from ..suite import cases

# Packs drawn a strategy.
DRAWN = 200
# What no format may be enabled without, unless it says why it cannot be asked (``NOT_APPLICABLE``); a format without
# disputes has no policies.
REQUIRED = (
    "vectors",
    "refusals",
    "arithmetic",
    "layouts",
    "synthetic",
    "sizes",
    "state",
    "generated",
    "modules",
    "digests",
    "affine",
    "checkpoints",
    "generation",
    "mutants",
)


@dataclass
class Evidence:
    """What was found. ``failed`` are cases with their complaints; they are not written."""

    format: str
    levels: dict[str, dict[str, int]] = field(default_factory=dict)
    upstream: list[str] = field(default_factory=list)
    mutants: dict[str, int] = field(default_factory=lambda: {"asked": 0, "caught": 0})
    failed: list[str] = field(default_factory=list)
    not_applicable: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Levels that were asked nothing, or that failed; also those that were asked, though the format says no."""
        lacking = [level for level in REQUIRED if level not in self.not_applicable and not self._stands(level)]
        return lacking + [level for level in self.not_applicable if level in self.levels]

    def _stands(self, level: str) -> bool:
        if level == "mutants":
            return 0 < self.mutants["asked"] == self.mutants["caught"]
        return self.levels.get(level, {}).get("cases", 0) > 0 and not any(
            f.startswith(f"{level}/") for f in self.failed
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "suite": SUITE_VERSION,
            "complete": not self.missing and not self.failed,
            "missing": self.missing,
            "levels": self.levels,
            "mutants": self.mutants,
            "upstream": self.upstream,
        } | ({"not_applicable": self.not_applicable} if self.not_applicable else {})


@cache
def _real() -> dict[str, tuple[Case, ...]]:
    """Cases of real models, of all formats."""
    return {
        "modules": tuple(real_modules.modules()),
        "digests": tuple(real_modules.digests()),
        "generation": tuple(generation.recited()),
        "checkpoints": tuple(case for case in folder_cases() if case.id.startswith("real-")),
    }


def asked(format: Format, exhaustive: bool = True, count: int = DRAWN) -> Iterator[tuple[str, Case]]:
    """Every case of the format with its level: the fixed suite, all scales, random packs, all real models.

    ``count`` is how many packs are drawn a strategy.
    """
    # Real models are asked below, all of them.
    for case in cases(exhaustive):
        real = case.level in ("modules", "generation") or case.id.startswith("checkpoints/real-")
        if case.format == format.SLUG and not real:
            yield case.level, case
    generated = {"generated": (*drawn.kept(), *drawn.generated(count, [format.SLUG]))}
    for level, found in (generated | _real()).items():
        yield from ((level, case) for case in found if case.format == format.SLUG)


def mutants_of(format: Format) -> list[Mutant]:
    return [mutant for mutant in MUTANTS if format.SLUG in mutant.formats]


def upstream_of(format: Format) -> list[str]:
    """The packages that packed or read what the format is held to, with their versions."""
    producers = {v.producer for v in (*vectors(), *produced_vectors()) if v.format is format}
    return sorted(" ".join(producer.rsplit("-", 1)) for producer in producers)


def gather(
    format: Format, subject: Subject, oracle: Subject, say: Callable[[str, int, int], None] = lambda *_: None
) -> Evidence:
    """Ask everything; ``say`` hears the level, and how many of its cases are done and there."""
    found = Evidence(format.ID, upstream=upstream_of(format), not_applicable=dict(format.NOT_APPLICABLE))
    listed = list(asked(format))
    there, done = Counter(level for level, _ in listed), Counter[str]()
    for level, case in listed:
        verdict = case.judge(subject, oracle)
        done[level] += 1
        say(level, done[level], there[level])
        # What the subject does not claim of MLX's packed form is no part of its evidence.
        if level == "affine" and verdict.manner == "refused" and not case.declined:
            continue
        if verdict.complaint:
            found.failed.append(f"{level}/{case.id.removeprefix(level + '/')}: {verdict.complaint}")
        count = found.levels.setdefault(level, {"cases": 0, "weights": 0})
        count["cases"] += 1
        count["weights"] += verdict.weights
    mutants, made = mutants_of(format), Cases()
    for number, mutant in enumerate(mutants, 1):
        row: Row = meet(mutant, oracle, made, quick=True)
        found.mutants["asked"] += 1
        found.mutants["caught"] += bool(row.killers)
        if not row.killers:
            found.failed.append(f"mutants/{mutant.id}: survives")
        say("mutants", number, len(mutants))
    digested = {name for name in present_checkpoints() if checkpoint(name).format is format}
    if lacking := sorted(digested - upstream_digests().keys()):
        found.failed.append(f"digests/{lacking[0]}: nobody wrote down what upstream reads from it")
    return found
