"""Two benchmark runs of one machine in one job: the base revision and the head, and whether the head is slower."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

# Timings of different machines, or of different days, say nothing about the code.
SAME = ("node", "processor", "machine", "python_version", "system")
ONE_JOB = timedelta(hours=3)


class SpeedError(Exception):
    """Two runs that cannot be compared."""


@dataclass(frozen=True)
class Pair:
    """The fastest round of one benchmark, in seconds."""

    name: str
    base: float
    head: float

    @property
    def slower(self) -> float:
        """0.1 is 10 % slower; negative is faster."""
        return self.head / self.base - 1


def pairs(base: Path, head: Path) -> Iterator[Pair]:
    """Every benchmark of two files of pytest-benchmark; SpeedError unless they are of one machine, job and set."""
    runs = [_read(file) for file in (base, head)]
    machines = [[run["machine_info"].get(key) for key in SAME] for run in runs]
    if machines[0] != machines[1]:
        raise SpeedError(f"not the same machine: {machines[0]} and {machines[1]}")
    times = [datetime.fromisoformat(run["datetime"]) for run in runs]
    if abs(times[0] - times[1]) > ONE_JOB:
        raise SpeedError(f"not one job: measured at {times[0]} and {times[1]}")
    fastest = [{bench["fullname"]: bench["stats"]["min"] for bench in run["benchmarks"]} for run in runs]
    # pytest-benchmark itself compares only what both files have, so that a benchmark that is gone is no slower.
    if lost := sorted(fastest[0].keys() ^ fastest[1].keys()):
        raise SpeedError(f"only in one of the files: {', '.join(lost)}")
    if not fastest[0]:
        raise SpeedError(f"{base} holds no benchmark")
    for name, seconds in fastest[0].items():
        yield Pair(name, seconds, fastest[1][name])


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        if not {"machine_info", "datetime", "benchmarks"} <= found.keys():
            raise SpeedError(f"{file} is not of pytest-benchmark")
        return found
    except (OSError, ValueError, AttributeError) as error:
        raise SpeedError(f"{file} is not of pytest-benchmark: {error}") from error
