"""Verdicts for people at a terminal, and for whoever reads a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ..bits.difference import largest
from ..cases.case import Case
from ..cases.tiers import TIERS
from ..levels.catalogue import TITLES
from ..reports.reproduce import command
from ..run.causes import SILENT, Cause, causes
from ..run.coverage import claimed, coverage
from ..run.record import VERDICTS, Report
from ..run.verify import Module

SHOWN = 12
# Where no terminal sets the width, a line may be as wide as what it says.
_FILE_WIDTH = 160


def console() -> Console:
    """For stdout; markup is off, as messages contain brackets of their own."""
    found = Console(markup=False, highlight=False, emoji=False)
    return found if found.is_terminal else Console(markup=False, highlight=False, emoji=False, width=_FILE_WIDTH)


def counts(report: Report) -> str:
    """``870 pass, 2 fail`` of the verdicts there are."""
    return ", ".join(f"{report.counts[verdict]} {verdict}" for verdict in VERDICTS if report.counts[verdict])


def show_evidence(found: Mapping[str, Any], out: Console) -> None:
    """What ``run --format`` found, a line a level."""
    table = Table(box=None, pad_edge=False)
    table.add_column("level")
    for title in ("cases", "weights"):
        table.add_column(title, justify="right")
    for level, count in found["levels"].items():
        table.add_row(level, f"{count['cases']:,}", f"{count['weights']:,}" if count["weights"] else "")
    mutants = found["mutants"]
    table.add_row("mutants", f"{mutants['caught']} of {mutants['asked']} caught")
    out.print(table)
    lacking = f", lacking {', '.join(found['missing'])}" if found["missing"] else ""
    verdict = "complete" if found["complete"] else f"not complete{lacking}"
    out.print(f"{found['format']}, suite {found['suite']}, against {', '.join(found['upstream'])}: evidence {verdict}")


def show(report: Report, out: Console) -> None:
    """A line a level, then the first cases that fail, then the verdict."""
    said = {key: value for key, value in report.header["info"].items() if key != "excludes"}
    said |= {key: " and ".join(value) for key, value in said.items() if isinstance(value, list)}
    info = ", ".join(f"{key} {value}" for key, value in said.items() if not isinstance(value, dict))
    out.print(f"{report.subject} ({info}); suite {report.header['suite']}")
    table = Table(box=None, pad_edge=False)
    table.add_column("level")
    table.add_column("claim")
    for title in (*VERDICTS, "weights", "wrong", "ulps"):
        table.add_column(title, justify="right")
    for level, title in TITLES.items():
        own = [record for record in report.records if record.level == level]
        if not own:
            continue
        verdicts = [str(sum(record.verdict == verdict for record in own) or "") for verdict in VERDICTS]
        weights, wrong = (f"{sum(numbers):,}" for numbers in zip(*((r.weights, r.wrong) for r in own), strict=True))
        table.add_row(title, own[0].claim, *verdicts, weights, wrong, largest(r.ulps for r in own))
    out.print(table)
    found = causes(report)
    for cause in found[:SHOWN]:
        out.print(_line(cause), soft_wrap=True)
        out.print(f"       {command(cause.example.id, str(report.header['called']))}", soft_wrap=True)
    if len(found) > SHOWN:
        out.print(f"... and {len(found) - SHOWN} causes more; --html has them all")
    for line in report.below_floor:
        out.print(f"BELOW THE FLOOR  {line}")
    partial = "; a part of the suite only" if report.header["partial"] else ""
    out.print(f"{report.subject} {conclusion(report)}: {counts(report) or 'no cases'}{partial}; {covers(report)}")


def conclusion(report: Report) -> str:
    """``conforms``, as far as was required and answered."""
    if report.faults or not report.records:
        silent = sum(cause.loudness == SILENT for cause in causes(report))
        return "does not conform" + (f" ({silent} causes of silent errors)" if silent else "")
    required = "" if report.required == TIERS else f" to what is required ({', '.join(report.required)})"
    return f"conforms{required}"


def covers(report: Report) -> str:
    """How much of the suite a verdict is about."""
    whole, own = coverage(report), coverage(report, claimed(report))
    if not whole.there:
        return "what part of the suite that is, the report does not say"
    return f"this verdict covers {whole.percent} % of the suite, {own.percent} % of the formats claimed"


def _line(cause: Cause) -> str:
    required = "" if cause.required else ", not required"
    return f"{cause.loudness.upper():16}  {cause.title} ({len(cause.records)} cases{required}): {cause.example.why}"


def show_case(case: Case, subject: Any, oracle: Any, out: Console) -> bool:
    """Everything there is to say of one case; True if the subject does not pass it."""
    from ..reports.reproduce import explain
    from ..subjects.ask import decode

    def say(text: str) -> None:
        out.print(text, soft_wrap=True)

    verdict = case.judge(subject, oracle)
    say(f"{case.id}: {verdict.complaint or 'pass'}{f' ({verdict.note})' if verdict.note else ''}")
    say(f"level {case.level}, claim {case.claim}, flags {', '.join(sorted(case.flags))}")
    question = case.question
    if question is not None:
        say(f"config {question.config}")
        for name, array in question.tensors.items():
            say(f"  {name}: {array.dtype} {list(array.shape)}")
        due = f"a refusal ({question.code})" if question.code else f"{question.answer(oracle)}; {question.source}"
        say(f"due: {due}{f'; {question.comment}' if question.comment else ''}")
        if case.claim == "dense" and not question.code:
            for line in explain(question, decode(subject, question.config, question.tensors, question.dtype)):
                say(f"  {line}")
    return bool(verdict.complaint)


def show_modules(found: list[Module], subject: Any, oracle: Any, out: Console) -> None:
    """The outcome of ``verify``."""
    bad = [module for module in found if module.complaint]
    for module in bad[:SHOWN]:
        out.print(f"DIFFERS  {module.name}: {module.complaint}", soft_wrap=True)
    weights, wrong = sum(module.weights for module in found), sum(module.wrong for module in found)
    verdict = "no packed module" if not found else f"{len(bad)} of {len(found)} modules differ" if bad else "verified"
    out.print(
        f"{verdict}: {len(found)} modules, {weights:,} weights, {wrong:,} wrong; {subject.name} against {oracle.name}",
        soft_wrap=True,
    )
