"""Who would misread a repo: what the reports of loaders say of cases that are as its modules are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..cases.tiers import SOUND
from ..formats.dialects import NAMES
from ..formats.registry import BY_SLUG
from ..reports.families import GIVES, PLAIN, SILENT, UNASKED, UNUSUAL, State, state
from ..reports.table import version
from ..reports.variants import ROWS, unsound
from ..run import record as records
from ..run.record import Record, Report

# The worst of several kinds of modules in one repo comes first.
_WORST = (SILENT, "fails", "differs", "rounded", UNASKED, "not read", "right")
# What is left out of account where no case has just these.
_LOOSE = ("group-size-", "scales-", "odd-width", "ragged")


@dataclass(frozen=True)
class Verdict:
    """What a loader makes of modules like those of a repo.

    Attributes:
        loader: name and version.
        gives: ``"weights"`` or ``"MLX's packed form"``.
        word: as in the short table of ``docs/results`` (``families.MEANING``).
        cases, of: how many of the cases that are alike say so.
        exact: whether those have the same group size and dtype of scales as well.
    """

    loader: str
    gives: str
    word: str
    cases: int
    of: int
    exact: bool


class Reports:
    """Reports of loaders, asked about kinds of modules. Only sound data count, with nothing unusual about them."""

    def __init__(self, reports: Iterable[Report]) -> None:
        self._loaders: list[tuple[str, str, dict[str, list[Record]]]] = []
        for report in reports:
            name = f"{report.subject} {version(report)}".strip()
            for form in ("dense", "affine"):
                plain = [record for record in report.records if record.claim in ROWS[form] and _plain(record)]
                if plain:
                    by_format: dict[str, list[Record]] = {}
                    for record in plain:
                        by_format.setdefault(record.format, []).append(record)
                    self._loaders.append((name, GIVES[form], by_format))
        self._known = cache(self._of_kind)

    @classmethod
    def read(cls, folder: Path) -> Reports:
        """Every report in a folder. ReportError for a file that is none."""
        return cls(records.read(file) for file in sorted(folder.glob("*.jsonl")))

    def of(self, kinds: Iterable[dict[str, Any]]) -> list[Verdict]:
        """A verdict a loader and form: the worst that is said of any of these kinds of modules."""
        found: dict[tuple[str, str], Verdict] = {}
        for kind in kinds:
            for verdict in self._known(kind["format"], frozenset(kind["flags"])):
                key = verdict.loader, verdict.gives
                if key not in found or _WORST.index(verdict.word) < _WORST.index(found[key].word):
                    found[key] = verdict
        return list(found.values())

    def _of_kind(self, format: str | None, flags: frozenset[str]) -> list[Verdict]:
        return list(self._verdicts(format, flags))

    def _verdicts(self, format: str | None, flags: frozenset[str]) -> Iterator[Verdict]:
        for loader, gives, by_format in self._loaders:
            own = by_format.get(format or "", [])
            exact = [record for record in own if _alike(record, format, flags, ())]
            near = exact or [record for record in own if _alike(record, format, flags, _LOOSE)]
            told: State = state(near)
            yield Verdict(loader, gives, told.word, told.cases, told.of, bool(exact))


def silently_wrong(verdicts: Iterable[Verdict]) -> list[str]:
    """The loaders that give something else than is due, and say nothing."""
    return sorted({verdict.loader for verdict in verdicts if verdict.word == SILENT})


def _plain(record: Record) -> bool:
    return record.level in PLAIN and record.tier == SOUND and not unsound(record)


def _alike(record: Record, format: str | None, flags: frozenset[str], loose: tuple[str, ...]) -> bool:
    """Whether a case has all that can be seen of a module, and nothing of note beyond it."""
    if format is None:
        return False
    seen = frozenset(flag for flag in flags if not flag.startswith(loose)) if loose else flags
    beyond = (frozenset(record.flags) - seen) & _of_note(format)
    if loose:
        beyond = frozenset(flag for flag in beyond if not flag.startswith(loose))
    return seen <= frozenset(record.flags) and not beyond


@cache
def _of_note(format: str) -> frozenset[str]:
    """Flags that set cases of a format apart from what most files have."""
    known = BY_SLUG[format]
    columns = (flag for flags in known.COLUMNS.values() for flag in flags)
    brief = (flag for wanted, unwanted in known.BRIEF.values() for flag in (*wanted, *unwanted))
    return UNUSUAL | NAMES | frozenset(columns) | frozenset(brief)
