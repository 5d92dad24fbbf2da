"""What the commands of ``mlx-quant-conformance`` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..run import judge as judging
from ..subjects.ask import single_threaded
from ..subjects.resolve import resolve, resolve_apart
from ..subjects.subject import SubjectError

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


def judged(name: str) -> Any:
    """The subject under test, where it cannot end this process."""
    with usage(SubjectError):
        return resolve_apart(name)


def subject_called(name: str) -> Any:
    """A subject that is trusted: the oracle, or one whose time is taken."""
    with usage(SubjectError):
        found = resolve(name)
    if found.framework == "torch":
        single_threaded()
    return found


@contextmanager
def usage(*errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except errors as error:
        stop(str(error))


def stop(message: str) -> NoReturn:
    typer.echo(f"mlx-quant-conformance: {message}", err=True)
    raise typer.Exit(EXIT_USAGE)


@contextmanager
def progress(unit: str) -> Iterator[Any]:
    """A bar on stderr where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda count: bar.update(task, total=count), lambda: bar.advance(task)
