"""Every mutant against every level: who notices what, and in which manner."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..cases.case import Case
from ..formats.registry import BY_SLUG
from ..levels import drawn
from ..levels.catalogue import DRAWN, MET
from ..mutants import MUTANTS, Bug, Mutant, Subject
from ..subjects.ask import single_threaded
from ..subjects.resolve import resolve

# A mutant of whole checkpoints decodes single modules soundly; a mutant of modules has no loader of its own.
BY_CHECKPOINT = ("generation", "checkpoints")
BY_AFFINE = ("affine",)
BY_MODULE = tuple(name for name in MET if name not in ("checkpoints", *BY_AFFINE))
QUICK = ("vectors", "policies", "refusals", "arithmetic", "synthetic", "layouts")


@dataclass(frozen=True)
class Kill:
    """The first case of a level that noticed a mutant."""

    case: str
    manner: str
    complaint: str


@dataclass
class Row:
    """One mutant: level to its kill, or None where the level saw nothing; levels that cannot meet it are absent."""

    mutant: Mutant
    kills: dict[str, Kill | None] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def killers(self) -> tuple[str, ...]:
        return tuple(level for level, kill in self.kills.items() if kill)


class Cases:
    """The levels' cases, made once for all mutants."""

    def __init__(self) -> None:
        self._made: dict[str, list[Case]] = {}

    def of(self, level: str, mutant: Mutant | None = None) -> list[Case]:
        """Those of a level; with a mutant those in which it may err: at other formats and widths it is sound."""
        if level == "synthetic" and mutant is not None:
            return [case for case in drawn.met(DRAWN, mutant.formats) if _touches(mutant, case)]
        if level not in self._made:
            self._made[level] = list(MET[level]())
        return [case for case in self._made[level] if mutant is None or _touches(mutant, case)]


def _touches(mutant: Mutant, case: Case) -> bool:
    if case.format not in mutant.formats:
        return False
    widths = {int(flag[5:]) for flag in case.flags if flag.startswith("bits-") and flag[5:].isdecimal()}
    # Of a width that the format does not have, a mutant knows nothing.
    known = widths <= set(BY_SLUG[case.format].WIDTHS)
    return not widths or not known or bool(widths & set(mutant.bits))


def first_kill(subject: Any, oracle: Any, cases: Iterable[Case]) -> Kill | None:
    for case in cases:
        verdict = case.judge(subject, oracle)
        if verdict.complaint:
            return Kill(case.id, verdict.manner, verdict.complaint)
    return None


def meet(mutant: Mutant, oracle: Any, cases: Cases, *, quick: bool = False) -> Row:
    """One mutant against every level that can meet it.

    If ``quick``, no further than the first that notices it, beginning with those that must.
    """
    started = time.monotonic()
    subject = Subject(mutant, oracle)
    met = BY_CHECKPOINT if mutant.load else BY_AFFINE if mutant.repack else BY_MODULE
    row = Row(mutant)
    for level in sorted(met, key=lambda level: level not in mutant.killed_by) if quick else met:
        row.kills[level] = first_kill(subject, oracle, cases.of(level, mutant))
        if quick and row.kills[level]:
            break
    row.seconds = time.monotonic() - started
    return row


def run(oracle: str, mutants: Iterable[Mutant], jobs: int, say: Callable[[str], None]) -> list[Row]:
    """The whole matrix, in ``jobs`` processes; ``oracle`` is the name of a subject."""
    chosen, rows = list(mutants), []
    spawn = multiprocessing.get_context("spawn")  # neither MLX nor torch survives a fork with its threads
    with ProcessPoolExecutor(jobs, spawn, initializer=_start, initargs=(oracle,)) as pool:
        for mutant, (kills, seconds) in zip(chosen, pool.map(_meet, [m.id for m in chosen]), strict=True):
            rows.append(Row(mutant, kills, seconds))
            say(f"{mutant.id:8} {seconds:5.1f} s  {', '.join(rows[-1].killers) or 'SURVIVES'}")
    return rows


_HERE: dict[str, Any] = {}


def _start(oracle: str) -> None:
    _HERE.update(oracle=resolve(oracle), cases=Cases())
    if _HERE["oracle"].framework == "torch":
        single_threaded()


def _meet(id: str) -> tuple[dict[str, Kill | None], float]:
    # Mutants hold functions, which do not travel between processes; their ids do.
    row = meet(next(mutant for mutant in MUTANTS if mutant.id == id), _HERE["oracle"], _HERE["cases"])
    return row.kills, row.seconds


def missed_by_ear(rows: list[Row]) -> list[Row]:
    """Mutants that the generation smoke test alone would have let through."""
    return [row for row in rows if not row.kills.get("generation")]


def faults(rows: list[Row]) -> list[str]:
    """Why the matrix does not stand; empty when it does."""
    found = [f"{row.mutant.id} survives: {row.mutant.mechanism}" for row in rows if not row.killers]
    for row in rows:
        unmet = [level for level in row.mutant.killed_by if level not in row.killers]
        if unmet:
            found.append(f"{row.mutant.id} should be noticed by {', '.join(unmet)}")
        manners = {kill.manner for kill in row.kills.values() if kill}
        # A wrapper that merely falls over proves nothing about a fault that computes.
        if manners and manners <= {"crashed", "refused"} and not row.mutant.loud:
            found.append(f"{row.mutant.id} is noticed only by {' and '.join(sorted(manners))}")
    found += [f"no mutant is of kind {bug}" for bug in Bug if bug not in {row.mutant.bug for row in rows}]
    for level in MET:
        if not any(level in row.killers for row in rows):
            found.append(f"level {level} notices nothing")
    return found
