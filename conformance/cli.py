"""``mlx-quant-conformance``: hold a loader to the suite.

Exit status: 0 conforms, 1 does not, 2 mis-wired adapter or wrong usage, 3 fewer cases than the floor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import SUITE_VERSION, baseline, judging, speed, terminal, verify
from .claims import Miswired
from .records import Report, ReportError
from .subjects import CORE, ORACLE, SubjectError, resolve, single_threaded

EXIT_FAULT, EXIT_USAGE = judging.FAULT, judging.USAGE

app = typer.Typer(
    name="mlx-quant-conformance",
    help="Hold a loader of packed checkpoints to the suite.",
    epilog="Exit status: 0 conforms, 1 does not, 2 mis-wired adapter or wrong usage, 3 fewer cases than the floor.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SubjectName = Annotated[
    str,
    typer.Option(
        "--subject",
        metavar="NAME",
        help="py:package.module:object, cmd:./program, mutant:ID, or the name of an installed subject.",
    ),
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
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Also every 16-bit scale: minutes.")] = False,
    report: ReportFile = None,
    junit: Junit = None,
    markdown: Markdown = None,
    html: Html = None,
    badge: Badge = None,
) -> None:
    """A verdict a case: does this loader read what it claims to read?"""
    found = _judged(subject, only, exhaustive)
    _write([found], report, junit, markdown, html, badge)
    terminal.show(found, terminal.console())
    raise typer.Exit(judging.status(found))


@app.command()
def gate(
    file: Annotated[Path, typer.Option("--baseline", metavar="FILE", help="The verdicts that are known.")],
    subject: SubjectName = CORE,
    update: Annotated[bool, typer.Option("--update", help="Write the baseline anew from this run.")] = False,
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
    with _usage(baseline.BaselineError):
        before = None if update and not file.exists() else baseline.read(file)
        found = _judged(subject, None, False)
        _write([found], report, junit, markdown, html, badge)
        if found.below_floor:
            for line in found.below_floor:
                typer.echo(f"BELOW THE FLOOR  {line}")
            raise typer.Exit(judging.BELOW_FLOOR)
        if update:
            explain = baseline.Known(["*"], reason, link, expires) if reason or link or expires else None
            baseline.update(before, found, explain).write(file)
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
    from . import records
    from .reports import matrix

    with _usage(ReportError):
        found = [records.read(file) for file in files]
    if (junit or badge) and len(found) > 1:
        _stop("JUnit and badges are of one report")
    if not (junit or markdown or html or badge):
        typer.echo(matrix.markdown(found))
    _write(found, None, junit, markdown, html, badge)


@app.command()
def show(
    case: Annotated[str, typer.Argument(metavar="CASE", help="The id of a case.")],
    subject: SubjectName = CORE,
) -> None:
    """One case in full: what is asked, what is due, and what a loader makes of it."""
    from .suite import cases

    found = next((known for known in cases() if known.id == case), None)
    if found is None:
        _stop(f"no case {case!r}; ids are in the report of a run")
    bad = terminal.show_case(found, _subject(subject), _oracle(), terminal.console())
    raise typer.Exit(EXIT_FAULT if bad else 0)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Created; must be empty or not there.")],
) -> None:
    """Write the suite as plain files, for readers in any language."""
    from .export import export as write

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        _stop(f"{folder} is there already")
    manifest = write(folder)
    typer.echo(f"{folder}: {manifest['tests']} tests, {manifest['bytes'] / 1e6:.1f} MB, suite {SUITE_VERSION}")


@app.command("verify")
def verify_command(
    checkpoint: Annotated[str, typer.Argument(metavar="PATH_OR_REPO", help="A folder, or a repo on the Hub.")],
    subject: SubjectName = CORE,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub repo.")] = None,
) -> None:
    """Decode a checkpoint by the core and by the reference, module by module, and compare the bits."""
    with _usage(verify.VerifyError):
        folder = verify.folder_of(checkpoint, revision)
    reader, oracle, console = _subject(subject), _oracle(), terminal.console()
    if not hasattr(reader, "open"):
        _stop(f"{reader.name} has no open()")
    found: list[verify.Module] = []
    try:
        with _progress("modules") as (start, advance):
            for module in verify.modules(reader, oracle, folder, start):
                found.append(module)
                advance()
    except verify.VerifyError as error:
        typer.echo(f"not verified: {error}", err=True)
        raise typer.Exit(EXIT_FAULT) from None
    terminal.show_modules(found, reader, oracle, console)
    raise typer.Exit(EXIT_FAULT if not found or any(module.complaint for module in found) else 0)


@app.command()
def bench(
    json: Annotated[Path, typer.Option(metavar="FILE", help="Where pytest-benchmark writes its figures.")],
    subject: SubjectName = CORE,
) -> None:
    """Time a loader on matrices of a real model's size, for ``speed`` to compare."""
    import pytest

    _subject(subject)
    arguments = [
        "--pyargs",
        f"{__package__}.bench",
        "-p",
        f"{__package__}.plugin",
        "-q",
        "--no-floor",
        "-p",
        "no:cacheprovider",
    ]
    arguments += [f"--subject={subject}", f"--benchmark-json={json}", "--benchmark-columns=min,median,rounds"]
    raise typer.Exit(EXIT_FAULT if pytest.main(arguments) else 0)


@app.command("speed")
def speed_command(
    base: Annotated[Path, typer.Argument(metavar="BASE.json", help="pytest-benchmark's file of the base revision.")],
    head: Annotated[Path, typer.Argument(metavar="HEAD.json", help="The same of the head, from the same job.")],
    slower: Annotated[float, typer.Option(metavar="PERCENT", help="How much slower the fastest round may be.")] = 10.0,
) -> None:
    """Fail if a benchmark became slower between two runs on one machine."""
    with _usage(speed.SpeedError):
        found = list(speed.pairs(base, head))
    for pair in found:
        verdict = "SLOWER" if pair.slower * 100 > slower else "ok"
        typer.echo(
            f"{verdict:6}  {pair.slower:+7.1%}  {pair.base * 1e3:9.2f} -> {pair.head * 1e3:9.2f} ms  {pair.name}"
        )
    raise typer.Exit(EXIT_FAULT if any(pair.slower * 100 > slower for pair in found) else 0)


@app.command()
def mutants(
    oracle: Annotated[str, typer.Option(help="The sound subject that the faults are built into.")] = ORACLE,
    only: Annotated[list[str] | None, typer.Option(metavar="ID", help="This mutant, without judging the rest.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Write mutants.json, .md and .svg.")] = None,
    check: Annotated[Path | None, typer.Option(metavar="DIR", help="Fail if the matrix in there differs.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Only keep the smallest pack that catches each.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Let every known fault loose on the suite: it must notice them all."""
    from . import matrix_cli

    raise typer.Exit(matrix_cli.run(_oracle(oracle), oracle, only, output, check, keep, jobs))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def selftest(
    context: typer.Context,
    subject: SubjectName = CORE,
    oracle: Annotated[str, typer.Option(hidden=True)] = ORACLE,
    profile: Annotated[str, typer.Option(help="conformance, dev or nightly.")] = "conformance",
    no_floor: Annotated[bool, typer.Option("--no-floor", help="For a part of the tests.")] = False,
) -> None:
    """The suite's own tests: random packs, every 16-bit scale, and that the suite itself can be trusted.

    Further arguments go to pytest.
    """
    import pytest

    from .plugin import EXIT_BELOW_FLOOR

    _subject(subject), _oracle(oracle)
    arguments = ["--pyargs", __package__, "-p", f"{__package__}.plugin", f"--hypothesis-profile={profile}"]
    arguments += [f"--subject={subject}", f"--oracle={oracle}", *(["--no-floor"] if no_floor else []), *context.args]
    status = int(pytest.main(arguments))
    known = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, EXIT_BELOW_FLOOR)
    raise typer.Exit(status if status in known else EXIT_USAGE)


def _judged(name: str, only: list[str] | None, exhaustive: bool) -> Report:
    subject, oracle = _subject(name), _oracle()
    with _progress("cases") as (start, advance):
        try:
            return judging.judge(
                subject,
                oracle,
                name=name,
                only=only or (),
                exhaustive=exhaustive,
                say=lambda record: advance(),
                start=start,
            )
        except Miswired as error:
            _stop(f"{name} is mis-wired: {error}")


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
    from . import reports

    if junit:
        junit.write_text(reports.junit(found[0]), encoding="utf-8")
    if markdown:
        with markdown.open("a", encoding="utf-8") as file:
            file.write(reports.markdown(found))
    if html:
        html.write_text(reports.html(found), encoding="utf-8")
    if badge:
        badge.write_text(reports.badge_json(found[0]) if badge.suffix == ".json" else reports.badge_svg(found[0]))


def _subject(name: str) -> Any:
    with _usage(SubjectError):
        found = resolve(name)
    if found.framework == "torch":
        single_threaded()
    return found


def _oracle(name: str = ORACLE) -> Any:
    return _subject(name)


@contextmanager
def _usage(*errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except errors as error:
        _stop(str(error))


def _stop(message: str) -> NoReturn:
    typer.echo(f"mlx-quant-conformance: {message}", err=True)
    raise typer.Exit(EXIT_USAGE)


@contextmanager
def _progress(unit: str) -> Iterator[Any]:
    """A bar on stderr where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda count: bar.update(task, total=count), lambda: bar.advance(task)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        app(args=arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
