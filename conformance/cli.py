"""``mlx-quant-conformance``: run the suite from wherever it is installed."""

from __future__ import annotations

import argparse
import sys

import pytest

from .plugin import EXIT_BELOW_FLOOR
from .subjects import CORE, ORACLE, SubjectError, resolve

EXIT_USAGE = 2


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
    options = parser.parse_args(arguments)
    try:
        resolve(options.subject)
    except SubjectError as error:
        print(f"mlx-quant-conformance: {error}", file=sys.stderr)
        return EXIT_USAGE
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
