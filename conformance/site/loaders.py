"""The first page, and pages of loaders and of what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from ..reports import families, listing
from ..reports.reproduce import command, explain_record
from ..reports.table import LEGEND, remarks, rows
from ..reports.variants import MEANING as CLAIMS
from ..reports.variants import TITLES, WORDS, outcome
from ..run.causes import LOUDNESS
from ..run.causes import MEANING as LOUD
from ..run.coverage import claimed, coverage
from .facts import Facts, Fault, Loader, words
from .pages import Page, render

QUESTION = "Does this loader read that checkpoint correctly?"
# A cause with more cases than this has their words alone.
_TOLD = 1500


def first(facts: Facts, contents: list[tuple[str, list[str]]]) -> Page:
    kinds = families.families()
    html = render(
        "index",
        "first.html",
        facts=facts,
        kinds=list(enumerate(kinds)),
        columns=[(loader, form) for loader in facts.loaders for form in loader.forms],
        gives=families.GIVES,
        meaning=families.MEANING,
        silent=families.SILENT,
        worst=_worst(facts),
        partial=[(loader, line) for loader in facts.loaders for line in remarks(loader.report)],
    )
    return Page("index", QUESTION, html, contents=contents)


def _worst(facts: Facts) -> list[tuple[Loader, list[Fault]]]:
    found = []
    for loader in facts.loaders:
        silent = [fault for fault in loader.faults if fault.cause.loudness == LOUDNESS[0]]
        if silent:
            found.append((loader, silent))
    return found


def pages(facts: Facts) -> Iterator[Page]:
    html = render("loaders/index", "loaders.html", facts=facts, words=WORDS, counted=words, covered=listing.covered)
    yield Page("loaders/index", "Loaders", html)
    html = render("causes/index", "causes.html", facts=facts, meaning=LOUD, loudness=LOUDNESS)
    yield Page("causes/index", "Causes, the worst first", html)
    for loader in facts.loaders:
        yield _loader(facts, loader)
        for fault in loader.faults:
            yield _fault(facts, loader, fault)


def _loader(facts: Facts, loader: Loader) -> Page:
    report = loader.report
    own = [record.id for record in report.records]
    levels: dict[str, list[str]] = {}
    for id in own:
        levels.setdefault(facts.cases[id].level, []).append(id)
    html = render(
        loader.page,
        "loader.html",
        loader=loader,
        report=report,
        gives=families.GIVES,
        meaning=families.MEANING,
        loud=LOUD,
        covered=listing.covered(report),
        whole=coverage(report),
        claimed=coverage(report, claimed(report)),
        remarks=remarks(report),
        tables=[(title, found) for slug, title in TITLES.items() if (found := rows([report], slug))],
        legend=LEGEND,
        claims=CLAIMS,
        words=WORDS,
        levels=[
            (level, words([loader.answers[id] for id in ids]), list(dict.fromkeys(facts.cases[id].page for id in ids)))
            for level, ids in levels.items()
        ],
    )
    return Page(loader.page, loader.name, html, found={f"loader {loader.name}": "top"})


def _fault(facts: Facts, loader: Loader, fault: Fault) -> Page:
    cause, example = fault.cause, fault.cause.example
    question = facts.questions.get(example.id)
    shown = cause.records[:_TOLD]
    formats = dict.fromkeys(TITLES[record.format] for record in cause.records if record.format in TITLES)
    html = render(
        fault.page,
        "cause.html",
        loader=loader,
        fault=fault,
        cause=cause,
        example=example,
        meaning=LOUD[cause.loudness],
        policy=cause.loudness == LOUDNESS[2] and facts.root is not None,
        command=command(example.id, str(loader.report.header["called"])),
        apart=explain_record(question, example) if question else [],
        formats=[(title, slug) for slug, title in TITLES.items() if title in formats],
        kinds=[kind for kind in loader.kinds if any(fault in own for own in kind.faults.values())],
        others=[
            (other, same)
            for other in facts.loaders
            for same in other.faults
            if other is not loader and same.cause.slug == cause.slug
        ],
        records=[(record, outcome(record), facts.cases[record.id]) for record in shown],
        more=len(cause.records) - len(shown),
    )
    title = f"{loader.report.subject}: {cause.title}"
    found = {f"{loader.slug} {cause.slug}": "top"}
    return Page(fault.page, title, html, found=found, listed=False)
