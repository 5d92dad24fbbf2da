"""A page for each format, out of its own room: who writes and reads it, its formula, its layout drawn, its vectors."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..formats.protocol import Format
from ..formats.registry import FORMATS, known
from ..reports import families
from ..reports.variants import TITLES
from .archives import Archive
from .facts import Facts
from .pages import Page, render
from .pictures import drawings, sentences


def pages(facts: Facts, archives: Mapping[str, Archive]) -> Iterator[Page]:
    formats = sorted(FORMATS.values(), key=lambda format: list(TITLES).index(format.SLUG))
    body = render("formats/index", "formats.html", formats=[(format, about(format)) for format in formats])
    yield Page("formats/index", "Formats", body)
    for format in formats:
        yield _page(facts, format, archives.get(format.SLUG))


def about(format: Format) -> str:
    """Its name and its writers, in the sentence that its room begins with."""
    return (inspect.getdoc(format) or format.TITLE).partition("\n\n")[0].replace("\n", " ").replace("``", "")


def _page(facts: Facts, format: Format, archive: Archive | None) -> Page:
    name = f"formats/{format.SLUG}"
    own = [n for n, kind in enumerate(families.families()) if kind.title in format.BRIEF]
    pages = {case.page: case.level for case in facts.cases.values() if case.format == format.SLUG}
    config, formula, example = _example(format)
    body = render(
        name,
        "format.html",
        slug=format.SLUG,
        about=about(format),
        titles=list(format.BRIEF),
        readers=[(loader, form, [loader.kinds[n] for n in own]) for loader in facts.loaders for form in loader.forms],
        gives=families.GIVES,
        meaning=families.MEANING,
        pages=[
            (f"{level}, page {page.rpartition('.')[2]}" if "." in page else level, page)
            for page, level in pages.items()
        ],
        packages=list(dict.fromkeys((*format.FILES.vectors, *format.FILES.produced))),
        checkpoints=format.FILES.checkpoints,
        packing=(inspect.getdoc(inspect.getmodule(format.parts)) or "").partition("\n\n")[2],
        config=json.dumps(config, indent=1),
        formula=formula,
        example=example,
        sentences=sentences(format),
        drawings=drawings(format),
        reason=format.NOT_APPLICABLE.get("layouts", "it has no shapes"),
        scales=format.LAYOUT.scales,
        archive=archive,
        docs=facts.root is not None,
    )
    return Page(name, format.TITLE, body, found={f"format {format.ID}": "top"})


def _example(format: Format) -> tuple[dict[str, Any], str, list[str]]:
    """The config of its plainest module, its formula, and one weight of it taken apart."""
    sample = next(unmade.sample for unmade in format.grid() if unmade.name == format.SMOKE)
    output, channel = min(1, sample.parts.shape[-2] - 1), min(2, sample.parts.shape[-1] - 1)
    lines = known(sample.config).explain(sample.config, sample.tensors, output, channel)
    lines.append(sample.parts.formula(output, channel))
    return sample.config, inspect.getdoc(type(sample.parts)) or "", lines
