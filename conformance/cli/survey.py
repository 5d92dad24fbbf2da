"""What ``mlx-quant-conformance survey`` does."""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import SUITE_VERSION
from ..run import verify
from ..run.record import ReportError
from ..subjects.resolve import CORE, ORACLE
from ..survey import asking, spread, table
from ..survey.journal import Journal
from ..survey.listing import Repo, SurveyError, repos
from ..survey.verdicts import Reports
from .base import EXIT_FAULT, SubjectName, progress, stop, subject_called, usage

EXIT_INTERRUPTED = 130
# Repos out of reach one after the other, after which it is the network.
OUTAGE = 20
# In a checkout; an installed suite has none, and is told where they are.
RESULTS = Path(__file__).resolve().parents[2] / "docs/results"


def survey(
    list_file: Annotated[str, typer.Argument(metavar="LIST", help="A file of repos, one a line; - is stdin.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The table.")] = Path("survey.parquet"),
    subject: SubjectName = CORE,
    reports: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Reports of loaders; without, those of the checkout.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = os.cpu_count() or 1,
    threads: Annotated[int, typer.Option(min=1, help="Repos that each of them waits for at once.")] = 4,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what an earlier run has found.")] = False,
) -> None:
    """Say of many repos of the Hub what they are, whether they are read, and who would misread them.

    Only configurations and headers are read. A run that was stopped goes on where it was: what is known is kept in
    FILE.journal. Exit status: 0 every repo has a row, 1 some could not be asked, 2 wrong usage, 130 interrupted.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        stop("HF_HUB_OFFLINE is set, and a survey asks the Hub")
    reader = subject_called(subject)
    if not hasattr(reader, "survey"):
        stop(f"{reader.name} has no survey()")
    about = {"suite": SUITE_VERSION, "subject": subject, "version": str(reader.info().get("version", ""))}
    with usage(SurveyError, ReportError, OSError):
        listed = _listed(list_file)
        if not listed:
            stop(f"{list_file} names no repo")
        # Hours may pass before it is needed.
        table.library()
        told = _reports(reports)
        journal = output.with_name(f"{output.name}.journal")
        if anew:
            journal.unlink(missing_ok=True)
        with Journal(journal, about) as known:
            left = [repo for repo in listed if repo not in known.settled]
            stopped = _ask(known, left, subject, scheduler, workers, threads)
            if stopped:
                have = len(known.settled.intersection(listed))
                typer.echo(
                    f"stopped: {have} of {len(listed)} repos are in {journal}; the same command goes on", err=True
                )
                raise typer.Exit(EXIT_INTERRUPTED)
            table.write(output, known.rows(listed), told, about)
            for line in summary(list(_outcomes(known, listed))):
                typer.echo(line)
            missing = len(listed) - len(known.settled.intersection(listed))
    typer.echo(f"{output}: {len(listed)} repos, {len(left)} of them asked now")
    if missing:
        typer.echo(f"{missing} could not be asked; the same command asks them again", err=True)
        raise typer.Exit(EXIT_FAULT)


def _ask(known: Journal, left: list[Repo], subject: str, scheduler: str | None, processes: int, threads: int) -> bool:
    """Whether it was interrupted."""
    if not left:
        return False
    work = functools.partial(asking.ask, subject, lone=scheduler is None)
    try:
        with progress("repos") as (start, advance), spread.workers(scheduler, processes, threads) as client:
            start(len(left))
            unreached = 0
            for row in spread.spread(client, work, left, asking.lost):
                known.add(row)
                advance()
                unreached = unreached + 1 if row.get("code") == "unreachable" else 0
                if unreached == OUTAGE:
                    raise SurveyError(f"{OUTAGE} repos in a row are out of reach ({row['message']}); try again later")
    except KeyboardInterrupt:
        return True
    return False


def verified(
    subject: str,
    reader: Any,
    oracle: Any,
    folder: Path,
    start: Callable[[int], None],
    scheduler: str | None,
    processes: int,
) -> Iterator[verify.Module]:
    """The modules of a checkpoint, compared by workers, in whatever order; as :func:`verify.modules` otherwise."""
    folder = folder.resolve()
    names = verify.names(reader, oracle, folder)
    start(len(names))
    work = functools.partial(verify.one, subject, ORACLE, folder)
    with spread.workers(scheduler, processes, threads=1) as client:
        yield from spread.spread(client, work, names, verify.failed)


def summary(outcomes: list[tuple[str, str]]) -> list[str]:
    """A line an outcome and code, the most frequent first."""
    counted = Counter(f"{outcome} {code}".rstrip() for outcome, code in outcomes)
    return [f"{count:8,}  {text}" for text, count in counted.most_common()]


def _outcomes(known: Journal, listed: list[Repo]) -> list[tuple[str, str]]:
    return [(row["outcome"], row.get("code") or "") for row in known.rows(listed)]


def _listed(name: str) -> list[Repo]:
    if name == "-":
        return repos(sys.stdin)
    with open(name, encoding="utf-8", errors="backslashreplace") as lines:
        return repos(lines)


def _reports(folder: Path | None) -> Reports | None:
    if folder is None and not RESULTS.is_dir():
        typer.echo("no reports of loaders here (--reports): nothing is said of who would misread what", err=True)
        return None
    folder = folder or RESULTS
    if not any(folder.glob("*.jsonl")):
        stop(f"{folder} holds no report")
    return Reports.read(folder)
