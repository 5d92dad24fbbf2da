"""``mlx-quant-conformance``: hold a loader to the suite.

Exit status: 0 conforms, 1 does not, 2 mis-wired adapter or wrong usage, 3 fewer cases than the floor.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from .. import SUITE_VERSION
from ..cases.tiers import TIERS
from ..formats.registry import FORMATS
from ..run import baseline, verify
from ..run import judge as judging
from ..run.claims import Miswired
from ..run.evidence import gather
from ..run.record import Report, ReportError
from ..subjects.resolve import CORE, ORACLE
from ..survey.listing import SurveyError
from . import site as cli_site
from . import survey as cli_survey
from . import terminal
from . import tools as cli_tools
from .base import EXIT_FAULT, EXIT_USAGE, SubjectName, app, judged, progress, stop, subject_called, usage

Require = Annotated[
    list[str] | None,
    typer.Option("--require", metavar="TIER", help="Fail on this tier only: sound, policy or unsound; again for more."),
]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="PATTERN", help="Cases like this; makes it partial.")]
ReportFile = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Every case, as JSON lines.")]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="JUnit XML.")]
Markdown = Annotated[Path | None, typer.Option(metavar="FILE", help="A matrix; appended, as CI summaries are.")]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="One self-contained page.")]
Badge = Annotated[Path | None, typer.Option(metavar="FILE", help="An SVG, or with .json a shields.io endpoint.")]


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the suite's version.")] = False) -> None:
    if version:
        typer.echo(SUITE_VERSION)
        raise typer.Exit()


@app.command()
def run(
    subject: SubjectName = CORE,
    only: Only = None,
    require: Require = None,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Also every 16-bit scale: minutes.")] = False,
    format: Annotated[str, typer.Option(metavar="ID", help="Gather the evidence for one format.")] = "",
    evidence: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write ID.json, with --format.")] = None,
    report: ReportFile = None,
    junit: Junit = None,
    markdown: Markdown = None,
    html: Html = None,
    badge: Badge = None,
) -> None:
    """A verdict a case: does this loader read what it claims to read?

    With --format: every level that applies to one format, mutants included, and the evidence for enabling it.
    """
    if format:
        raise typer.Exit(_gather(subject, format, evidence))
    found = _judged(subject, only, exhaustive, require)
    _write([found], report, junit, markdown, html, badge)
    terminal.show(found, terminal.console())
    raise typer.Exit(judging.status(found))


@app.command()
def gate(
    file: Annotated[Path, typer.Option("--baseline", metavar="FILE", help="The verdicts that are known.")],
    subject: SubjectName = CORE,
    require: Require = None,
    update: Annotated[bool, typer.Option("--update", help="Write the baseline anew from this run.")] = False,
    migrate: Annotated[bool, typer.Option("--migrate", help="Bring an older suite's baseline here.")] = False,
    reason: Annotated[str, typer.Option(help="Why the cases that fail, and are not explained yet, do.")] = "",
    link: Annotated[str, typer.Option(help="Where that is tracked.")] = "",
    expires: Annotated[str, typer.Option(metavar="DATE", help="Until when that may go on, as 2027-01-31.")] = "",
    report: ReportFile = None,
    junit: Junit = None,
    markdown: Markdown = None,
    html: Html = None,
    badge: Badge = None,
) -> None:
    """Fail if a case became worse than the baseline says, or the baseline is out of date."""
    with usage(baseline.BaselineError):
        before = None if update and not file.exists() else baseline.read(file)
        found = _judged(subject, None, False, require)
        _write([found], report, junit, markdown, html, badge)
        if found.below_floor:
            for line in found.below_floor:
                typer.echo(f"BELOW THE FLOOR  {line}")
            raise typer.Exit(judging.BELOW_FLOOR)
        if update or migrate:
            explain = baseline.Known(["*"], reason, link, expires) if reason or link or expires else None
            if migrate and before is not None:
                written, lines = baseline.migrate(before, found, explain)
            else:
                written, lines = baseline.update(before, found, explain), []
            written.write(file)
            for line in lines:
                typer.echo(line)
            typer.echo(f"{file}: {terminal.counts(found)}")
            return
        assert before is not None
        findings = baseline.compare(before, found, date.today())
    for line in baseline.summary(findings):
        typer.echo(line)
    verdict = f"{len(findings.faults)} faults" if findings.faults else "nothing became worse"
    typer.echo(f"{found.subject}: {terminal.counts(found)}; {verdict}, {len(findings.better)} cases better")
    raise typer.Exit(EXIT_FAULT if findings.faults else 0)


@app.command("report")
def report_command(
    files: Annotated[list[Path], typer.Argument(metavar="REPORT...", help="Written by --report.")],
    junit: Junit = None,
    markdown: Markdown = None,
    html: Html = None,
    badge: Badge = None,
) -> None:
    """Put reports of one or several loaders into one page, matrix or badge; without options, print the matrix."""
    from ..reports import table as matrix
    from ..run import record as records

    with usage(ReportError):
        found = [records.read(file) for file in files]
    if (junit or badge) and len(found) > 1:
        stop("JUnit and badges are of one report")
    if not (junit or markdown or html or badge):
        typer.echo(matrix.markdown(found))
    _write(found, None, junit, markdown, html, badge)


@app.command()
def show(
    case: Annotated[str, typer.Argument(metavar="CASE", help="The id of a case.")],
    subject: SubjectName = CORE,
) -> None:
    """One case in full: what is asked, what is due, and what a loader makes of it."""
    from ..suite import cases

    found = next((known for known in cases() if known.id == case), None)
    if found is None:
        stop(f"no case {case!r}; ids are in the report of a run")
    bad = terminal.show_case(found, judged(subject), subject_called(ORACLE), terminal.console())
    raise typer.Exit(EXIT_FAULT if bad else 0)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Created; must be empty or not there.")],
) -> None:
    """Write the suite as plain files, for readers in any language."""
    from ..export import export as write

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        stop(f"{folder} is there already")
    manifest = write(folder)
    typer.echo(f"{folder}: {manifest['tests']} tests, {manifest['bytes'] / 1e6:.1f} MB, suite {SUITE_VERSION}")


@app.command("verify")
def verify_command(
    checkpoint: Annotated[str, typer.Argument(metavar="PATH_OR_REPO", help="A folder, or a repo on the Hub.")],
    subject: SubjectName = CORE,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub repo.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Dask processes on this machine; 0 is this one.")] = 0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, whose workers find the folder at its path.")
    ] = None,
) -> None:
    """Decode a checkpoint by the core and by the reference, module by module, and compare the bits."""
    with usage(verify.VerifyError):
        folder = verify.folder_of(checkpoint, revision)
    reader, oracle, console = judged(subject), subject_called(ORACLE), terminal.console()
    if not hasattr(reader, "open"):
        stop(f"{reader.name} has no open()")
    found: list[verify.Module] = []
    try:
        with progress("modules") as (start, advance):
            spread = cli_survey.verified(subject, reader, oracle, folder, start, scheduler, workers)
            alone = verify.modules(reader, oracle, folder, start)
            for module in spread if workers or scheduler else alone:
                found.append(module)
                advance()
    except (verify.VerifyError, SurveyError) as error:
        typer.echo(f"not verified: {error}", err=True)
        raise typer.Exit(EXIT_FAULT) from None
    found.sort(key=lambda module: module.name)
    terminal.show_modules(found, reader, oracle, console)
    raise typer.Exit(EXIT_FAULT if not found or any(module.complaint for module in found) else 0)


def _gather(subject: str, id: str, folder: Path | None) -> int:
    if id not in FORMATS:
        stop(f"no format {id!r}; there are {', '.join(FORMATS)}")
    with progress("cases") as (_, advance):
        found = gather(FORMATS[id], judged(subject), subject_called(ORACLE), lambda *_: advance())
    written = found.to_dict()
    for line in found.failed:
        typer.echo(f"FAIL  {line}")
    terminal.show_evidence(written, terminal.console())
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{id}.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 0 if written["complete"] else EXIT_FAULT


def _judged(name: str, only: list[str] | None, exhaustive: bool, require: list[str] | None) -> Report:
    if unknown := set(require or ()) - set(TIERS):
        stop(f"no tier {', '.join(sorted(unknown))}; there are {', '.join(TIERS)}")
    subject, oracle = judged(name), subject_called(ORACLE)
    with progress("cases") as (start, advance):
        try:
            return judging.judge(
                subject,
                oracle,
                name=name,
                only=only or (),
                exhaustive=exhaustive,
                require=require or TIERS,
                say=lambda record: advance(),
                start=start,
            )
        except Miswired as error:
            stop(f"{name} is mis-wired: {error}")


def _write(
    found: list[Report],
    report: Path | None,
    junit: Path | None,
    markdown: Path | None,
    html: Path | None,
    badge: Path | None,
) -> None:
    if report:
        found[0].write(report)
    if not (junit or markdown or html or badge):
        return
    from .. import reports

    if junit:
        junit.write_text(reports.junit(found[0]), encoding="utf-8")
    if markdown:
        with markdown.open("a", encoding="utf-8") as file:
            file.write(reports.markdown(found))
    if html:
        html.write_text(reports.html(found), encoding="utf-8")
    if badge:
        badge.write_text(reports.badge_json(found[0]) if badge.suffix == ".json" else reports.badge_svg(found[0]))


app.command()(cli_survey.survey)
app.command()(cli_site.site)
app.command()(cli_tools.bench)
app.command("speed")(cli_tools.speed_of)
app.command()(cli_tools.mutants)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(cli_tools.selftest)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        app(args=arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    return 0
