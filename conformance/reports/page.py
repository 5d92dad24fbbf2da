"""One self-contained HTML page: the matrix, and behind every cell its cases.

The matrix is plain HTML and needs no script. The cases are data in the page, of which the script makes text when
somebody looks. What passes is a letter a case, so that a page of many loaders stays small.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader

from .. import SUITE_VERSION
from ..bits.difference import CLASSES
from ..cases.question import Question
from ..levels import catalogue
from ..run import causes
from ..run.record import Record, Report
from ..suite import cases
from . import families, listing
from .reproduce import command, explain_record
from .table import LEGEND, Cell, Row, remarks, rows, slugged, ulp_words, version
from .variants import COLUMNS, MEANING, ROWS, TITLES, WORDS, outcome

# What the letters of a report's cases mean.
LETTERS = {word: word[0] for word in WORDS}
_ABSENT = " "


def html(reports: list[Report]) -> str:
    """The page; every text in it comes from reports and is escaped."""
    # Autoescape for every template: the names below say nothing of HTML to Jinja's own choice.
    environment = Environment(
        loader=PackageLoader(__package__, "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.globals.update(hash_of=hash_of, version=version, remarks=remarks)
    return environment.get_template("page.html").render(
        suites=sorted({str(report.header["suite"]) for report in reports}),
        reports=slugged(reports),
        listed=[(slug, report, listing.listed(report), listing.covered(report)) for slug, report in slugged(reports)],
        loudness=causes.MEANING,
        kinds=families.families(),
        families=families.rows(reports),
        states=families.MEANING,
        tables=[(format, title, rows(reports, format)) for format, title in TITLES.items()],
        columns={format: [column for column in COLUMNS if column.format == format] for format in TITLES},
        legend=LEGEND,
        meaning=MEANING,
        words=WORDS,
        data=data(reports),
    )


def hash_of(row: Row, cell: Cell) -> str:
    """The part of the address that opens a cell, for sharing."""
    asked = {"loader": row.slug, "claim": row.kind, "format": row.format, "variant": cell.column.slug}
    return f"#{urlencode(asked)}"


def data(reports: list[Report]) -> dict[str, Any]:
    """What the script shows. Cases stand once for all loaders; each loader has a letter a case, and faults in full."""
    known: dict[tuple[Any, ...], int] = {}
    keys = [[known.setdefault(_key(record), len(known)) for record in report.records] for report in reports]
    flags = sorted({flag for key in known for flag in key[3]})
    places = {flag: place for place, flag in enumerate(flags)}
    return {
        "titles": catalogue.TITLES,
        "meaning": MEANING,
        "rows": ROWS,
        "formats": TITLES,
        "words": {letter: word for word, letter in LETTERS.items()},
        "classes": [[name, ulp_words(name)] for name, _ in CLASSES],
        "columns": [[column.format, column.slug, column.title] for column in COLUMNS],
        "flags": flags,
        "cases": [[id, level, claim, [places[flag] for flag in own]] for id, level, claim, own in known],
        "held": [_columns(key) for key in known],
        "reports": [
            _report(slug, report, own, len(known)) for (slug, report), own in zip(slugged(reports), keys, strict=True)
        ],
    }


def _key(record: Record) -> tuple[Any, ...]:
    return record.id, record.level, record.claim, tuple(record.flags)


def _columns(key: tuple[Any, ...]) -> list[int]:
    id, level, claim, flags = key
    record = Record(id, level, claim, list(flags), "pass")
    return [n for n, column in enumerate(COLUMNS) if column.format in flags and column.holds(record)]


def _report(slug: str, report: Report, keys: list[int], count: int) -> dict[str, Any]:
    letters = [_ABSENT] * count
    for key, record in zip(keys, report.records, strict=True):
        letters[key] = LETTERS[outcome(record)]
    called, asked = str(report.header["called"]), _questions(report)
    return {
        "slug": slug,
        "name": f"{report.subject} {version(report)}".strip(),
        # The script puts the id in.
        "command": command("CASE", called),
        "letters": "".join(letters),
        "notes": {key: r.note for key, r in zip(keys, report.records, strict=True) if r.note},
        "weights": {key: r.weights for key, r in zip(keys, report.records, strict=True) if r.weights},
        "details": {
            key: _details(record, asked)
            for key, record in zip(keys, report.records, strict=True)
            if record.verdict != "pass"
        },
    }


def _details(record: Record, asked: dict[str, Question]) -> dict[str, Any]:
    question = asked.get(record.id)
    found = {
        "why": record.why,
        "steps": _steps(record),
        "wrong": record.wrong,
        "ulps": record.ulps,
        "apart": explain_record(question, record) if question else [],
    }
    return {key: value for key, value in found.items() if value}


def _steps(record: Record) -> str:
    if record.steps is None:
        return ""
    rounding = "; rounding explains it" if record.inexact else ""
    return f"at most {record.steps:.4g} quantisation steps{rounding}"


def _questions(report: Report) -> dict[str, Question]:
    """The questions of a report, if the suite that is installed is the one it comes from and any is needed."""
    if report.header["suite"] != SUITE_VERSION or not any(record.bad for record in report.records):
        return {}
    return {case.id: case.question for case in cases() if case.question is not None}
