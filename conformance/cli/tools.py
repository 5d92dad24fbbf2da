"""Commands around the suite: its own tests and mutants, and timings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..bench import speed
from ..subjects.resolve import CORE, ORACLE
from .base import EXIT_FAULT, EXIT_USAGE, SubjectName, subject_called, usage

# The suite's own package: `conformance` in a checkout.
_ROOM = __package__.rpartition(".")[0]


def bench(
    json: Annotated[Path, typer.Option(metavar="FILE", help="Where pytest-benchmark writes its figures.")],
    subject: SubjectName = CORE,
) -> None:
    """Time a loader on matrices of a real model's size, for ``speed`` to compare."""
    import pytest

    subject_called(subject)
    arguments = [
        "--pyargs",
        f"{_ROOM}.bench.dense",
        "-p",
        f"{_ROOM}.selftest.plugin",
        "-q",
        "--no-floor",
        "-p",
        "no:cacheprovider",
    ]
    arguments += [f"--subject={subject}", f"--benchmark-json={json}", "--benchmark-columns=min,median,rounds"]
    raise typer.Exit(EXIT_FAULT if pytest.main(arguments) else 0)


def speed_of(
    base: Annotated[Path, typer.Argument(metavar="BASE.json", help="pytest-benchmark's file of the base revision.")],
    head: Annotated[Path, typer.Argument(metavar="HEAD.json", help="The same of the head, from the same job.")],
    slower: Annotated[float, typer.Option(metavar="PERCENT", help="How much slower the fastest round may be.")] = 10.0,
) -> None:
    """Fail if a benchmark became slower between two runs on one machine."""
    with usage(speed.SpeedError):
        found = list(speed.pairs(base, head))
    for pair in found:
        verdict = "SLOWER" if pair.slower * 100 > slower else "ok"
        typer.echo(
            f"{verdict:6}  {pair.slower:+7.1%}  {pair.base * 1e3:9.2f} -> {pair.head * 1e3:9.2f} ms  {pair.name}"
        )
    raise typer.Exit(EXIT_FAULT if any(pair.slower * 100 > slower for pair in found) else 0)


def mutants(
    oracle: Annotated[str, typer.Option(help="The sound subject that the faults are built into.")] = ORACLE,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="This mutant; with --output the rows of others stay.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Write mutants.json, .md and .svg.")] = None,
    check: Annotated[Path | None, typer.Option(metavar="DIR", help="Fail if the matrix in there differs.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Only keep the smallest pack that catches each.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 2,
    judge: Annotated[bool, typer.Option("--judge", help="Faults of the judge, not of loaders.")] = False,
) -> None:
    """Let every known fault loose on the suite: it must notice them all."""
    if judge:
        from ..run import judging

        raise typer.Exit(judging.run(output, check))
    from . import mutants as matrix_cli

    raise typer.Exit(matrix_cli.run(subject_called(oracle), oracle, only, output, check, keep, jobs))


def selftest(
    context: typer.Context,
    subject: SubjectName = CORE,
    oracle: Annotated[str, typer.Option(hidden=True)] = ORACLE,
    profile: Annotated[str, typer.Option(help="conformance, dev or nightly.")] = "conformance",
    no_floor: Annotated[bool, typer.Option("--no-floor", help="For a part of the tests.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="FILE", help="One file of them, as vectors; again for more.")
    ] = None,
) -> None:
    """The suite's own tests: random packs, every 16-bit scale, and that the suite itself can be trusted.

    Further arguments go to pytest.
    """
    import pytest

    from ..selftest.plugin import EXIT_BELOW_FLOOR

    subject_called(subject), subject_called(oracle)
    # With -k alone all the other tests would be made as well, to be left out.
    files = [f"{_ROOM}.selftest.test_{name}" for name in only or ()] or [f"{_ROOM}.selftest"]
    arguments = ["--pyargs", *files, "-p", f"{_ROOM}.selftest.plugin", f"--hypothesis-profile={profile}"]
    arguments += [f"--subject={subject}", f"--oracle={oracle}", *(["--no-floor"] if no_floor else []), *context.args]
    status = int(pytest.main(arguments))
    known = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, EXIT_BELOW_FLOOR)
    raise typer.Exit(status if status in known else EXIT_USAGE)
