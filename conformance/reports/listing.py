"""Causes as a list that says what to mend first, with a command for each that shows it once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..run.causes import LOUDNESS, MEANING, Cause, causes
from ..run.coverage import claimed, coverage
from ..run.record import Report
from .reproduce import command
from .table import escape, name


def entry(report: Report, cause: Cause) -> dict[str, Any]:
    """A cause as plain data."""
    example = cause.example
    return {
        "slug": cause.slug,
        "title": cause.title,
        "loudness": cause.loudness,
        "required": cause.required,
        "cases": len(cause.records),
        "example": example.id,
        "why": example.why.partition("\n")[0][:300],
        "command": command(example.id, str(report.header["called"])),
    }


def listed(report: Report) -> list[dict[str, Any]]:
    """The worst first."""
    return [entry(report, cause) for cause in causes(report)]


def covered(report: Report) -> str:
    """How much of the suite the verdict is about, in words; empty where the report does not say."""
    whole, own = coverage(report), coverage(report, claimed(report))
    if not whole.there:
        return ""
    return f"covers {whole.percent} % of the suite, {own.percent} % of the formats claimed"


def markdown(reports: list[Report], links: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """A section a loader. ``links``: loader, then slug of a cause, to the address of its reproduction."""
    lines = []
    for report in reports:
        found, known = listed(report), (links or {}).get(report.subject, {})
        silent = sum(cause["loudness"] == LOUDNESS[0] for cause in found)
        said = ", ".join(filter(None, (covered(report), f"{len(found)} causes, {silent} of them silent")))
        lines += [f"### {name(report)}", "", f"{said[0].upper()}{said[1:]}.", ""]
        if not found:
            continue
        lines += ["| what | cause | cases | plainest case | repeated without the suite |", "|---|---|--:|---|---|"]
        for cause in found:
            link = f"[script]({known[cause['slug']]})" if cause["slug"] in known else ""
            loud = f"**{cause['loudness']}**" if cause["loudness"] == LOUDNESS[0] else cause["loudness"]
            lines.append(f"| {loud} | {escape(cause['title'])} | {cause['cases']} | `{cause['example']}` | {link} |")
        lines.append("")
    said = "; ".join(f"*{word}*: {meaning}" for word, meaning in MEANING.items())
    return "\n".join([*lines, f"{said}."]) + "\n"
