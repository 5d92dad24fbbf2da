"""The matrix: loader by format by variant, and the lines beneath it that say which claim was tested."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..bits.difference import CLASSES, Histogram, largest
from ..run.record import Record, Report
from .variants import COLUMNS, ROWS, TITLES, WORDS, Column, outcome

# An example of a cell, the state it is in, and what it says.
LEGEND = (
    ("all 24", "good", "every case passes"),
    (
        "inexact",
        "bad",
        "weights less than half a quantisation step off (right codes, but rounded), or of another dtype",
    ),
    ("wrong", "bad", "other weights, names or text than are due, an answer where a refusal is due, or its wrong code"),
    ("unread", "bad", "refused, though the loader claims to read it"),
    ("crash", "bad", "an undeclared error"),
    ("9 pass, 3 refused", "partly", "what is not refused passes"),
    ("refused", "refused", "by declared errors, and never claimed"),
    ("-", "none", "not asked"),
)


@dataclass(frozen=True)
class Cell:
    """What becomes of the cases of a variant.

    ``state`` is ``none``, ``good``, ``refused``, ``partly`` (what is not refused passes) or ``bad``.
    """

    column: Column
    counts: Counter[str]

    @property
    def state(self) -> str:
        if not self.counts:
            return "none"
        if self.counts.keys() & {"inexact", "wrong", "unread", "crash"}:
            return "bad"
        if "refused" not in self.counts:
            return "good"
        return "partly" if "pass" in self.counts else "refused"

    @property
    def text(self) -> str:
        total, state = self.counts.total(), self.state
        if state in ("none", "good", "refused"):
            return {"none": "-", "good": f"all {total}", "refused": "refused"}[state]
        found = [(self.counts[word], word) for word in WORDS if self.counts[word]]
        if state == "partly":
            return ", ".join(f"{count} {word}" for count, word in found)
        (count, word), *rest = [pair for pair in found if pair[1] != "pass"]
        return ", ".join([f"{count} of {total} {word}", *(f"{count} {word}" for count, word in rest)])


@dataclass(frozen=True)
class Row:
    """What one loader makes of one format under one claim."""

    report: Report
    slug: str
    kind: str
    format: str
    records: list[Record]

    @property
    def said(self) -> Mapping[str, Any]:
        """The part of ``info()`` that states this claim."""
        info: dict[str, Any] = self.report.header.get("info", {})
        return info.get("affine", {}) if self.kind == "affine" else info

    @property
    def claimed(self) -> bool:
        return self.format in self.said.get("formats", ())

    @property
    def claim(self) -> str:
        """``dense``, with what the loader excepts."""
        if not self.claimed:
            return f"{self.kind}, not claimed"
        excluded = self.said.get("excludes", ())
        return f"{self.kind}, but {', '.join(excluded)}" if excluded and self.kind != "model" else self.kind

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(outcome(record) for record in self.records)

    @cached_property
    def cells(self) -> list[Cell]:
        return [
            Cell(column, Counter(outcome(record) for record in self.records if column.holds(record)))
            for column in COLUMNS
            if column.format == self.format
        ]

    @property
    def weights(self) -> int:
        return sum(record.weights for record in self.records)

    @property
    def wrong(self) -> int:
        return sum(record.wrong for record in self.records)

    @property
    def distance(self) -> str:
        """The largest class of distance of a wrong weight, in words."""
        name = largest(record.ulps for record in self.records)
        return ulp_words(name) if name else "-"


def ulp_words(name: str) -> str:
    """``3-4 ulp`` of the name of a class."""
    return f"over {CLASSES[-2][1]} ulp" if name == "more" else f"{name} ulp"


def rows(reports: Iterable[Report], format: str) -> list[Row]:
    """In the order of the reports; a claim without a case of the format has no row."""
    found = []
    for slug, report in slugged(reports):
        for kind, claims in ROWS.items():
            records = [r for r in report.records if r.claim in claims and r.format == format]
            if records:
                found.append(Row(report, slug, kind, format, records))
    return found


def slugged(reports: Iterable[Report]) -> list[tuple[str, Report]]:
    """Every report and a name of its own: two of one loader may lie side by side."""
    seen: Counter[str] = Counter()
    found = []
    for report in reports:
        seen[report.subject] += 1
        count = seen[report.subject]
        found.append((report.subject if count == 1 else f"{report.subject}-{count}", report))
    return found


def total(histograms: Iterable[Histogram]) -> Histogram:
    """The sum, in the order of the classes."""
    added = sum((Counter(histogram) for histogram in histograms), Counter[str]())
    return {name: added[name] for name, _ in CLASSES if added[name]}


def version(report: Report) -> str:
    """What the loader says of its version; empty if it does not say."""
    return str(report.header.get("info", {}).get("version", ""))


def remarks(report: Report) -> list[str]:
    """What a reader must know before any number."""
    found = [f"below the floor: {line}" for line in report.below_floor]
    return ["a part of the suite only", *found] if report.header.get("partial") else found


def markdown(reports: list[Report]) -> str:
    """For a README or a CI summary: a table a format, a legend, and a line a claim."""
    suites = sorted({str(report.header["suite"]) for report in reports})
    lines = [f"## mlx-quant conformance, suite {', '.join(suites)}", ""]
    for format, title in TITLES.items():
        found = rows(reports, format)
        if not found:
            continue
        asked = [n for n in range(len(found[0].cells)) if any(row.cells[n].counts for row in found)]
        titles = [found[0].cells[n].column.title for n in asked]
        lines += [f"### {title}", "", f"| loader | claim | {' | '.join(titles)} |", f"|---|---|{'---|' * len(asked)}"]
        for row in found:
            cells = (f"**{c.text}**" if c.state == "bad" else c.text for c in (row.cells[n] for n in asked))
            claim = row.kind if row.claimed else f"{row.kind}, not claimed"
            lines.append(f"| {name(row.report)} | {claim} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join([*lines, legend(), "", *_summary(reports)]) + "\n"


def legend() -> str:
    """What the words in the cells mean, as a sentence."""
    return "; ".join(f"`{cell}`: {meaning}" for cell, _, meaning in LEGEND) + "."


def _summary(reports: list[Report]) -> list[str]:
    titles = ("loader", "format", "claim", "cases", *WORDS, "weights compared", "weights wrong", "off by up to")
    lines = [f"| {' | '.join(titles)} |", f"|---|---|---|{'--:|' * (len(titles) - 3)}"]
    # The rows of one loader together, as its versions and remarks are below.
    for row in sorted((row for format in TITLES for row in rows(reports, format)), key=_place(reports)):
        numbers = [
            f"{number:,}" for number in (len(row.records), *(row.counts[w] for w in WORDS), row.weights, row.wrong)
        ]
        claim = escape(row.claim)
        lines.append(
            f"| {name(row.report)} | {TITLES[row.format]} | {claim} | {' | '.join(numbers)} | {row.distance} |"
        )
    said = [f"- {name(report)}: {escape(line)}" for report in reports for line in remarks(report)]
    return [*lines, "", *said] if said else lines


def _place(reports: list[Report]) -> Callable[[Row], int]:
    return lambda row: next(n for n, report in enumerate(reports) if report is row.report)


def name(report: Report) -> str:
    """A loader and its version, for a cell of a Markdown table."""
    return escape(f"{report.subject} {version(report)}".strip())


def escape(text: str) -> str:
    """For a cell of a Markdown table."""
    return re.sub(r"([\\|*`<\[\]~])", r"\\\1", " ".join(text.split()))
