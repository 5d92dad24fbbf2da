"""``mlx-quant-conformance``: run the suite from wherever it is installed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from .plugin import EXIT_BELOW_FLOOR
from .subjects import CORE, ORACLE, SubjectError, resolve, single_threaded

EXIT_FAULT, EXIT_USAGE = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 conforms, 1 does not, 2 wrong usage or unusable subject, 3 fewer checks than the floor."""
    parser = argparse.ArgumentParser(prog="mlx-quant-conformance", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="hold a subject to the oracle and to upstream's vectors")
    run.add_argument("--subject", default=CORE, help="py:package.module:object, or the name of an installed subject")
    run.add_argument("--oracle", default=ORACLE, help=argparse.SUPPRESS)
    run.add_argument("--profile", default="conformance", choices=("conformance", "dev", "nightly"))
    run.add_argument("--no-floor", action="store_true", help="do not fail for too few checks (for a partial run)")
    run.add_argument("pytest_arguments", nargs="*", help="passed to pytest, after --")
    quick = commands.add_parser("quick", help="the small cases of the levels that decode modules; stops at a complaint")
    quick.add_argument("--subject", default=CORE, help="as for run")
    quick.add_argument("--oracle", default=ORACLE, help=argparse.SUPPRESS)
    mutants = commands.add_parser("mutants", help="let every known fault loose on the suite: it must notice them all")
    mutants.add_argument("--oracle", default=ORACLE, help="the sound subject that the faults are built into")
    mutants.add_argument("--only", nargs="+", metavar="ID", help="these mutants, without judging the whole matrix")
    mutants.add_argument("--output", type=Path, metavar="DIR", help="write mutants.json, mutants.md and mutants.svg")
    mutants.add_argument("--check", type=Path, metavar="DIR", help="fail if the matrix differs from the one in there")
    mutants.add_argument("--keep", action="store_true", help="only find and keep the smallest pack that catches each")
    mutants.add_argument(
        "--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        resolve(options.oracle)
        if options.command != "mutants":
            resolve(options.subject)
    except SubjectError as error:
        print(f"mlx-quant-conformance: {error}", file=sys.stderr)
        return EXIT_USAGE
    return {"run": _run, "quick": _quick, "mutants": _mutants}[options.command](options)


def _quick(options: Any) -> int:
    from .matrix import QUICK, Cases, first_kill

    subject, oracle, cases = resolve(options.subject), resolve(options.oracle), Cases()
    if "torch" in (subject.framework, oracle.framework):
        single_threaded()
    for level in QUICK:
        if kill := first_kill(subject, oracle, cases.of(level)):
            print(f"{level}: {kill.case}: {kill.complaint}")
            return EXIT_FAULT
        print(f"{level}: {len(cases.of(level))} cases")
    return 0


def _mutants(options: Any) -> int:
    from . import examples, matrix, matrix_report, smallest
    from .mutants import MUTANTS

    oracle = resolve(options.oracle)
    if oracle.framework == "torch":
        single_threaded()
    unknown = set(options.only or ()) - {mutant.id for mutant in MUTANTS}
    if unknown:
        print(f"mlx-quant-conformance: no such mutant: {', '.join(sorted(unknown))}", file=sys.stderr)
        return EXIT_USAGE
    chosen = [mutant for mutant in MUTANTS if not options.only or mutant.id in options.only]
    if options.keep:
        print(f"{examples.keep(smallest.every(oracle))} packs kept in {examples.FILE}")
        return 0
    rows = matrix.run(options.oracle, chosen, options.jobs, lambda line: print(line, flush=True))
    if options.only:
        for row in rows:
            for level, kill in row.kills.items():
                print(f"{row.mutant.id} {level}: {f'{kill.case}: {kill.complaint}' if kill else '-'}")
        return EXIT_FAULT if any(not row.killers for row in rows) else 0
    found = matrix.faults(rows)
    if options.check:
        found += matrix_report.drift(rows, options.check)
    if options.output:
        matrix_report.write(rows, options.output)
    missed = len(matrix.missed_by_ear(rows))
    print(f"{len(rows)} mutants, {sum(bool(row.killers) for row in rows)} noticed; generation alone misses {missed}")
    for line in found:
        print(f"FAULT  {line}")
    return EXIT_FAULT if found else 0


def _run(options: Any) -> int:
    status = pytest.main(
        [
            "--pyargs",
            __package__,
            "-p",
            f"{__package__}.plugin",
            f"--hypothesis-profile={options.profile}",
            f"--subject={options.subject}",
            f"--oracle={options.oracle}",
            *(["--no-floor"] if options.no_floor else []),
            *options.pytest_arguments,
        ]
    )
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, EXIT_BELOW_FLOOR):
        return int(status)
    return EXIT_USAGE


if __name__ == "__main__":
    raise SystemExit(main())
