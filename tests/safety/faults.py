"""The fault suite: each system call of a conversion and of a load fails once, or is the last before a kill.

    python tests/safety/faults.py [--shard 1/2] [--seconds 300] [--every 1] [--json faults.json]

A process preloads ``shim.c``, imports everything, and forks once for each fault. Afterwards the destination must be the
old folder, the new one or absent, nothing else may be left unless the process was killed, or the fault hit the cleaning
up, and the next run must succeed and leave the new folder alone. ``points.py`` has the rules by which equal faults are
left out. A shard is tried in an order that is shuffled but fixed, so one that is stopped is a fair sample. Linux, gcc.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import gc
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.safety.points import Rules

ROOT = Path(__file__).parents[2]
_BROKEN, _REFUSED = 70, 1


@dataclass(frozen=True)
class Outcome:
    """What became of one fault.

    Attributes:
        scenario: ``"convert"``, ``"overwrite"`` or ``"load"``.
        fault: name of the error or signal.
        call: the system call, and on which file.
        ended: ``"done"``, ``"refused"``, ``"killed"`` or ``"broken"``.
        destination: ``"old"``, ``"new"``, ``"absent"`` or ``"half"``.
        left: names that lie beside it.
        complaint: what is wrong with that, or None.
    """

    scenario: str
    fault: str
    call: str
    ended: str
    destination: str
    left: tuple[str, ...]
    complaint: str | None


class Bench:
    """A folder in which runs are made to fail; of the process that preloads the shim."""

    def __init__(self, folder: Path) -> None:

        import numpy.ma  # noqa: F401
        from transformers import AutoTokenizer

        import mlx_quant
        from mlx_quant.cli.main import _terminated
        from tests.safety import tiny

        self._terminated = _terminated
        self.mlx_quant = mlx_quant
        self.shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self.shim.fault_disarm.restype = ctypes.c_long
        self.zone = folder / "zone"
        self.source = tiny.write(self.zone / "source", tiny.files("gptq"))
        # What each child would have to import and cache. Nothing is evaluated: a fork lacks threads.
        AutoTokenizer.from_pretrained(self.source)
        mlx_quant.Checkpoint.open(self.source)
        self.place, self.temporary = self.zone / "place", self.zone / "tmp"
        self.old = {"precious": b"old"}
        gc.collect()
        gc.freeze()  # what a child does not touch is not copied
        self._clear()
        self._forked(self._convert, None)
        self.new = self._content(self.place / "out")

    def scenarios(self) -> dict[str, Callable[[], None]]:
        return {"convert": self._convert, "overwrite": self._overwrite, "load": self._load}

    def calls(self, scenario: str) -> list[tuple[str, str]]:
        """The system calls of an undisturbed run: name, and path below the zone."""
        self._clear(scenario)
        with tempfile.TemporaryFile() as log:
            ended = self._forked(self.scenarios()[scenario], (-1, 0, 0, 0, log.fileno()))
            log.seek(0)
            lines = log.read().decode().splitlines()
        assert ended == "done", f"{scenario} fails without a fault"
        return [(name, path) for name, _, path in (line.partition("\t") for line in lines)]

    def fault(self, scenario: str, call: tuple[str, str], number: int, fault: str) -> Outcome:
        """Call ``number`` (from 1) fails, or is not reached."""
        self._clear(scenario)
        error, killer = (0, getattr(signal, fault)) if fault.startswith("SIG") else (getattr(errno, fault), 0)
        ended = self._forked(self.scenarios()[scenario], (number, 1, error, killer, -1))
        destination, left = self._destination(), self._left()
        told = f"{call[0]} {Path(call[1]).relative_to(self.zone)}"
        complaint = self._complaint(scenario, call, fault, ended, destination, left)
        start = "old" if scenario == "overwrite" else "absent"
        untouched = destination == start and not left  # then the next run is the one that is known to succeed
        if complaint is None and not untouched and (again := self._again(scenario)):
            complaint = f"the next run: {again}"
        return Outcome(scenario, fault, told, ended, destination, tuple(left), complaint)

    def _complaint(
        self, scenario: str, call: tuple[str, str], fault: str, ended: str, destination: str, left: list[str]
    ) -> str | None:
        if ended == "broken":
            return "an error without a type, or no end"
        if destination == "half":
            return "half a folder"
        if ended == "done" and scenario != "load" and destination != "new":
            return "done, and nothing to show for it"
        if scenario == "overwrite" and destination == "absent" and ended != "killed":
            return "the old folder is gone"
        cleaning = call[0] in ("remove", "list", "close", "open", "stat", "flock")
        if left and ended != "killed" and not cleaning:
            return "something is left"
        return None

    def _again(self, scenario: str) -> str | None:
        ended = self._forked(self._load if scenario == "load" else self._overwrite_only, None)
        if ended != "done":
            return ended
        if self._left():
            return f"leaves {self._left()}"
        return None if scenario == "load" or self._destination() == "new" else "not the new folder"

    def _convert(self) -> None:
        self.mlx_quant.convert(self.source, self.place / "out", progress=False, max_shard_bytes=60_000)

    def _overwrite_only(self) -> None:
        self.mlx_quant.convert(self.source, self.place / "out", progress=False, max_shard_bytes=60_000, overwrite=True)

    _overwrite = _overwrite_only

    def _load(self) -> None:
        """Into memory, and, as a lazy model is, by way of a temporary folder."""
        for lazy in (False, True):
            model, _ = self.mlx_quant.load(self.source, lazy=lazy)
            del model

    def _clear(self, scenario: str = "convert") -> None:
        for folder in (self.place, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        if scenario == "overwrite":
            (self.place / "out").mkdir()
            (self.place / "out" / "precious").write_bytes(b"old")

    def _destination(self) -> str:
        out = self.place / "out"
        if not out.exists():
            return "absent"
        found = self._content(out)
        return "old" if found == {"precious": _digest(b"old")} else "new" if found == self.new else "half"

    def _content(self, folder: Path) -> dict[str, str]:
        return {path.name: _digest(path.read_bytes()) for path in sorted(folder.iterdir())}

    def _left(self) -> list[str]:
        beside = [path.name for path in self.place.iterdir() if path.name != "out"]
        return sorted(beside + [path.name for path in self.temporary.iterdir()])

    def _forked(self, action: Callable[[], None], fault: tuple[int, int, int, int, int] | None) -> str:
        """Run in a child with the fault armed: ``"done"``, ``"refused"``, ``"killed"`` or ``"broken"``."""
        child = os.fork()
        if child == 0:
            self._child(action, fault)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "broken" if os.WTERMSIG(status) == signal.SIGALRM else "killed"
        code = os.WEXITSTATUS(status)
        return {0: "done", _REFUSED: "refused", 128 + signal.SIGTERM: "killed", 128 + signal.SIGHUP: "killed"}.get(
            code, "broken"
        )

    def _child(self, action: Callable[[], None], fault: tuple[int, int, int, int, int] | None) -> None:
        code = _BROKEN
        try:
            tempfile.tempdir = str(self.temporary)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, self._terminated)
            signal.alarm(60)
            if fault is not None:
                self.shim.fault_arm(str(self.zone).encode(), *map(ctypes.c_long, fault[:2]), *fault[2:])
            action()
            code = 0
        except self.mlx_quant.QuantError:
            code = _REFUSED
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else _BROKEN
        except BaseException:
            if os.environ.get("FAULTS_VERBOSE"):
                traceback.print_exc()
        finally:
            self.shim.fault_disarm()
            os._exit(code)


def unsynced(calls: list[tuple[str, str]]) -> list[str]:
    """What was written, or named, and not brought to the disk before the rename that promises it."""
    swap = next(number for number, (name, path) in enumerate(calls) if name == "rename" and ".partial-" in path)
    partial = calls[swap][1]
    dirty: dict[str, None] = {}
    for name, path in calls[:swap]:
        if not path.startswith(partial):
            continue
        if name == "write":
            dirty |= {path: None, os.path.dirname(path): None}
        elif name == "fsync":
            dirty.pop(path, None)
    parent = os.path.dirname(partial)
    return [*dirty, *(() if ("fsync", parent) in calls[swap:] else (parent,))]


@dataclass
class Tried:
    """Outcomes, and what they are a part of.

    Attributes:
        calls: system calls by scenario.
        points: faults to try, in all shards.
        skipped: faults that are left out, by scenario and rule.
    """

    calls: dict[str, int]
    points: int
    skipped: dict[str, dict[str, int]]
    seconds: float
    outcomes: list[Outcome]


def run(every: int, shard: tuple[int, int] = (1, 1), seconds: float = math.inf) -> Tried:
    """One fault in so many of one of so many shards, until a time. Only where the shim is preloaded."""
    started = time.monotonic()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        bench = Bench(Path(os.path.realpath(folder)))
        rules = {scenario: Rules(bench.calls(scenario), str(bench.source)) for scenario in bench.scenarios()}
        points = [(scenario, point) for scenario, rule in rules.items() for point in rule.points()]
        random.Random(0).shuffle(points)
        tried = Tried({name: len(rule.calls) for name, rule in rules.items()}, len(points), {}, 0.0, [])
        tried.skipped = {name: dict(rule.skipped) for name, rule in rules.items()}
        for scenario, point in points[shard[0] - 1 :: shard[1] * every]:
            if time.monotonic() - started > seconds:
                break
            tried.outcomes.append(bench.fault(scenario, point.call, point.number, point.fault))
    tried.seconds = round(time.monotonic() - started, 1)
    return tried


def compiled(folder: Path) -> Path:
    """The shim, built here."""
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def preloaded(arguments: list[str], library: Path) -> subprocess.CompletedProcess[bytes]:
    """This program once more, with the shim before the C library."""
    from tests.conftest import environment  # which the process that is preloaded has no use for

    own = environment(LD_PRELOAD=str(library), TOKENIZERS_PARALLELISM="false", PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run([sys.executable, __file__, *arguments], env=own, check=False)


def table(outcomes: list[Outcome]) -> str:
    """Markdown: faults by scenario and kind, how they ended, and what became of the destination."""
    lines = [
        "| scenario | fault | tried | done | refused | killed | old | new | absent | left to the next run | wrong |"
    ]
    lines.append("|" + "---|" * 11)
    kinds = dict.fromkeys((outcome.scenario, outcome.fault) for outcome in outcomes)
    for scenario, fault in kinds:
        found = [outcome for outcome in outcomes if (outcome.scenario, outcome.fault) == (scenario, fault)]
        ended, places = Counter(each.ended for each in found), Counter(each.destination for each in found)
        left, wrong = sum(bool(each.left) for each in found), sum(each.complaint is not None for each in found)
        numbers = [len(found), ended["done"], ended["refused"], ended["killed"]]
        numbers += [places["old"], places["new"], places["absent"], left, wrong]
        lines.append(f"| {scenario} | {fault} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="try one fault in so many")
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="the I-th of N shares")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so long")
    parser.add_argument("--json", type=Path, help="write every outcome here")
    parser.add_argument("--synced", action="store_true", help="only ask what a conversion brings to the disk")
    arguments = parser.parse_args()
    if "LD_PRELOAD" not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            return preloaded(sys.argv[1:], compiled(Path(folder))).returncode
    if arguments.synced:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            missing = unsynced(Bench(Path(os.path.realpath(folder))).calls("convert"))
        print(missing or "everything")
        return 1 if missing else 0
    tried = run(arguments.every, arguments.shard, arguments.seconds)
    outcomes = tried.outcomes
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(tried), indent=1))
    for scenario, count in tried.calls.items():
        print(f"{scenario}: {count} system calls; left out {tried.skipped[scenario]}")
    print(f"{len(outcomes)} of {tried.points} faults tried in {tried.seconds} s")
    wrong = [outcome for outcome in outcomes if outcome.complaint]
    print(table(outcomes))
    for outcome in wrong:
        print(outcome)
    return 1 if wrong else 0


def _shard(text: str) -> tuple[int, int]:
    part, whole = (int(word) for word in text.split("/"))
    if not 1 <= part <= whole:
        raise ValueError(text)
    return part, whole


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
