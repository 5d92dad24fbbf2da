"""What the pages are about: loaders, their causes and every case, gathered once from the reports."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import SUITE_VERSION
from ..cases.question import Question
from ..levels.catalogue import LEVELS
from ..reports import families
from ..reports.table import slugged, version
from ..reports.variants import ROWS, TITLES, outcome
from ..run.causes import Cause, causes
from ..run.record import Record, Report, ReportError, read
from ..suite import cases as suite_cases
from .names import SiteError, clean, file_name, slug

# Reports of these files come first: ours, which hold the others to account.
FIRST = ("mlx-quant", "reference")
# Cases a page; what is beyond goes to another one, and the permalinks know which.
A_PAGE = 400
_ROW = re.compile(r"^\| \[(\w+)\]\(\w+\.py\) \| (.*) \| (.*) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """A fault repeated without the suite: ``shows`` it, ``due`` and what came instead in ``given``."""

    name: str
    text: str
    shows: str
    given: str


@dataclass(frozen=True)
class Fault:
    """A cause of one loader and the page that it has."""

    cause: Cause
    page: str
    script: Script | None


@dataclass(frozen=True)
class Kind:
    """What a loader makes of a family of checkpoints, in one form, and the faults that are to blame."""

    family: families.Family
    states: dict[str, families.State]
    faults: dict[str, list[Fault]]

    @property
    def id(self) -> str:
        return f"family-{slug(self.family.title)}"


@dataclass(frozen=True)
class Loader:
    """One report."""

    slug: str
    report: Report
    said: Mapping[str, str]
    faults: list[Fault]

    @property
    def page(self) -> str:
        return f"loaders/{file_name(self.slug)}"

    @property
    def name(self) -> str:
        return f"{self.report.subject} {version(self.report)}".strip()

    @cached_property
    def blame(self) -> dict[str, Fault]:
        """The fault of each case that fails, by its id."""
        return {record.id: fault for fault in self.faults for record in fault.cause.records}

    @cached_property
    def answers(self) -> dict[str, Record]:
        return {record.id: record for record in self.report.records}

    @cached_property
    def forms(self) -> list[str]:
        own = {record.claim for record in self.report.records}
        return [form for form in ("dense", "affine") if form in own] or ["model"]

    @cached_property
    def kinds(self) -> list[Kind]:
        found = []
        for family in families.families():
            held = [record for record in self.report.records if family.holds(record)]
            by_form = {form: [r for r in held if r.claim in (form, *ROWS["model"])] for form in self.forms}
            blamed = {
                form: list({id(self.blame[r.id]): self.blame[r.id] for r in own if r.bad}.values())
                for form, own in by_form.items()
            }
            found.append(Kind(family, {form: families.state(own) for form, own in by_form.items()}, blamed))
        return found

    @cached_property
    def refusals(self) -> list[tuple[str, int]]:
        """What was said of cases that are not claimed, without the numbers in it; the most frequent first."""
        said = (record.why.partition("\n")[0][:160] for record in self.report.records if record.verdict == "refused")
        return Counter(re.sub(r"\d+", "N", text) for text in said).most_common()


@dataclass(frozen=True)
class Case:
    """A case, whoever was asked it, and the page that it is on."""

    id: str
    level: str
    format: str
    claim: str
    flags: tuple[str, ...]
    page: str


@dataclass
class Facts:
    """Everything that pages are made of. ``root`` is a checkout, None where there is none."""

    loaders: list[Loader]
    root: Path | None = None
    suites: list[str] = field(default_factory=list)

    @cached_property
    def cases(self) -> dict[str, Case]:
        """By id, in the order of the suite's levels and formats."""
        first: dict[str, Record] = {}
        for loader in self.loaders:
            for record in loader.report.records:
                first.setdefault(record.id, record)
        levels, formats = [level.id for level in LEVELS], list(TITLES)
        order = sorted(
            first.values(), key=lambda r: (_place(levels, r.level), r.level, _place(formats, r.format), r.id)
        )
        places: Counter[str] = Counter()
        found = {}
        for record in order:
            stem = f"cases/{file_name(record.level)}/{file_name(record.format or 'other')}"
            number = places[stem] // A_PAGE
            places[stem] += 1
            page = f"{stem}.{number + 1}" if number else stem
            found[record.id] = Case(record.id, record.level, record.format, record.claim, tuple(record.flags), page)
        return found

    @cached_property
    def questions(self) -> dict[str, Question]:
        """Those of the plainest case of every cause, where the suite is the one that the report comes from."""
        wanted = {
            fault.cause.example.id
            for loader in self.loaders
            if loader.report.header["suite"] == SUITE_VERSION
            for fault in loader.faults
        }
        if not wanted:
            return {}
        return {case.id: case.question for case in suite_cases() if case.id in wanted and case.question is not None}


def gather(folder: Path, root: Path | None) -> Facts:
    """Read the reports of a folder. SiteError where there is none, or one that cannot be read."""
    files = sorted(folder.glob("*.jsonl"), key=lambda file: (_place(list(FIRST), file.stem), file.stem))
    if not files:
        raise SiteError(f"{folder} holds no report")
    try:
        reports = [_cleaned(read(file)) for file in files]
    except ReportError as error:
        raise SiteError(str(error)) from error
    said, links, scripts = _notes(root)
    loaders = []
    for name, report in slugged(reports):
        known = {slug: scripts.get(script) for slug, script in links.get(report.subject, {}).items()}
        loaders.append(Loader(name, report, said.get(report.subject, {}), _faults(name, report, known)))
    return Facts(loaders, root, sorted({str(report.header["suite"]) for report in reports}))


def _faults(name: str, report: Report, known: Mapping[str, Script | None]) -> list[Fault]:
    taken: Counter[str] = Counter()
    found = []
    for cause in causes(report):
        stem = file_name(cause.slug)
        taken[stem] += 1
        page = f"causes/{file_name(name)}/{stem}" + (f".{taken[stem]}" if taken[stem] > 1 else "")
        found.append(Fault(cause, page, known.get(cause.slug)))
    return found


def _notes(root: Path | None) -> tuple[dict[str, Any], dict[str, dict[str, str]], dict[str, Script]]:
    """What is said of loaders, reproductions by loader and cause, and the scripts by name."""
    if root is None:
        return {}, {}, {}
    folder = root / "examples/reproductions"
    rows = {name: (shows, given) for name, shows, given in _ROW.findall((folder / "README.md").read_text())}
    scripts = {
        file.stem: Script(file.stem, file.read_text(), *rows.get(file.stem, ("", "")))
        for file in sorted(folder.glob("*.py"))
    }
    said = json.loads((root / "examples/adapters/loaders.json").read_text())
    return said, json.loads((folder / "causes.json").read_text()), scripts


def _cleaned(report: Report) -> Report:
    header: dict[str, Any] = _clean(report.header)
    records = [
        dataclasses.replace(
            record,
            id=clean(record.id),
            level=clean(record.level),
            claim=clean(record.claim),
            flags=[clean(flag) for flag in record.flags],
            why=clean(record.why),
            note=clean(record.note),
        )
        for record in report.records
    ]
    return Report(header, records, [clean(line) for line in report.below_floor])


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _clean(own) for key, own in value.items()}
    return [_clean(own) for own in value] if isinstance(value, list) else value


def _place(order: list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def words(records: list[Record]) -> Counter[str]:
    return Counter(outcome(record) for record in records)
