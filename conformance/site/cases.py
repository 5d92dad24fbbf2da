"""Every case, a row each with what every loader made of it; a page a level and format, and permalinks to each row."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..levels.catalogue import LEVELS
from ..reports.table import LEGEND
from ..reports.variants import MEANING, TITLES, outcome
from .facts import Case, Facts, Loader
from .names import anchor, case_path, link
from .pages import Page, render

_CSS = {"pass": "good", "inexact": "bad", "wrong": "bad", "unread": "bad", "crash": "bad", "refused": "refused"}


def pages(facts: Facts) -> Iterator[Page]:
    by_page: dict[str, list[Case]] = {}
    for case in facts.cases.values():
        by_page.setdefault(case.page, []).append(case)
    levels = {level.id: level for level in LEVELS}
    counts = Counter((case.level, case.format, case.page) for case in facts.cases.values())
    grouped: dict[str, list[tuple[str, str, int]]] = {}
    for (level, format, page), count in counts.items():
        grouped.setdefault(level, []).append((TITLES.get(format, "other"), page, count))
    body = render(
        "cases/index",
        "cases.html",
        total=len(facts.cases),
        grouped=[(level, levels.get(level), found) for level, found in grouped.items()],
    )
    yield Page("cases/index", "Cases", body)
    for name, own in by_page.items():
        level, format = own[0].level, TITLES.get(own[0].format, "other formats")
        siblings = [page for page in by_page if page.partition(".")[0] == name.partition(".")[0]]
        body = render(
            name,
            "case_rows.html",
            level=levels.get(level),
            format=format,
            slug=own[0].format if own[0].format in TITLES else "",
            loaders=facts.loaders,
            siblings=siblings if len(siblings) > 1 else [],
            name=name,
            rows=[(case, [_cell(loader, case) for loader in facts.loaders]) for case in own],
            claims=MEANING,
            legend=LEGEND,
        )
        number = f", page {siblings.index(name) + 1} of {len(siblings)}" if len(siblings) > 1 else ""
        found = {case.id: anchor(case.id) for case in own}
        yield Page(name, f"{format}: {level}{number}", body, found=found, words=False, listed=False)


def _cell(loader: Loader, case: Case) -> tuple[str, str, str]:
    """The word, its class, and the page of the fault that is to blame."""
    record = loader.answers.get(case.id)
    if record is None:
        return "-", "none", ""
    word = outcome(record)
    return word, _CSS[word], loader.blame[case.id].page if case.id in loader.blame else ""


def permalinks(facts: Facts, folder: Path) -> int:
    """Write ``case/<id>.html`` for each, which leads to its row wherever that is, and a list. Returns how many."""
    for case in facts.cases.values():
        path = f"{case_path(case.id)}.html"
        address, name = html.escape(link(path, f"{case.page}.html", anchor(case.id))), html.escape(case.id)
        icon = html.escape(link(path, "_static/icon.svg"))
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
            '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
            f'<link rel="icon" href="{icon}"><style>main{{overflow-wrap:anywhere}}a{{color:inherit}}</style>'
            f'<meta http-equiv="refresh" content="0; url={address}">'
            f'<main><h1>{name}</h1><p><a href="{address}">{name}</a></p></main></html>\n',
            encoding="utf-8",
        )
    listed = folder / "files/cases.json"
    listed.parent.mkdir(exist_ok=True)
    listed.write_text(json.dumps(list(facts.cases), indent=0) + "\n", encoding="utf-8")
    return len(facts.cases)
