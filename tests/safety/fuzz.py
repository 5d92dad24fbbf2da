"""The fuzzer: sound checkpoints bent in ways a grammar knows, each taken through a door: inspect, convert or load.

    python tests/safety/fuzz.py [--count 100000] [--seed 0] [--jobs 2] [--seconds 540] [--json fuzz.json]

Every input must end in success or a QuantError, within limits of time, memory and descriptors, and leave nothing. An
input follows from a seed and its number alone. What was tried is written to the JSON file all the while, and numbers
that are in it are not tried again: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.safety.results import Results
from tests.safety.trial import SECONDS, Trial, bases, imports, numbered, settle

MEMORY, DESCRIPTORS = 8 << 30, 256
# Numbers that a worker gets at once.
SHARE = 50
_PRELOADED = "tests.safety.preload"
_SETTLING = 300.0
Target = Callable[[int, str, Connection], None]


def work(seed: int, folder: str, pipe: Connection) -> None:
    """One worker. A number is announced before it is tried, so that the input that ends the process is known."""
    imports()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    trial = Trial(Path(folder))
    settle(trial)
    pipe.send(("ready", 0, "", None))
    while share := pipe.recv():
        for number in range(*share):
            pipe.send(("try", number, "", None))
            base, edits, door = numbered(seed, number, trial.bases)
            pipe.send(("end", number, *trial.run(base, edits, (door,))))
        pipe.send(("ready", 0, "", None))


class Worker:
    """A process and what it is at."""

    def __init__(self, context: Any, target: Target, seed: int, folder: Path) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=target, args=(seed, str(folder), theirs))
        self.process.start()
        theirs.close()
        self.share = range(0)
        self.trying: int | None = None
        self.since = time.monotonic()
        self.settled = self.stopped = False

    def is_late(self, limit: float) -> bool:
        """Whether its own clock, which only Python code hears, did not stop it."""
        waited = time.monotonic() - self.since
        return waited > limit if self.trying is not None else not self.settled and waited > _SETTLING

    def stop(self) -> None:
        self.stopped = True
        self.process.kill()


class Campaign:
    """Workers, shares of numbers, results. A worker that dies, or is killed after ``limit`` seconds, is replaced."""

    def __init__(
        self, results: Results, jobs: int, seconds: float, target: Target = work, limit: float = SECONDS * 2
    ) -> None:
        self.results, self.jobs, self.target, self.limit = results, jobs, target, limit
        self.started = time.monotonic()
        self.deadline = self.started + seconds
        methods = multiprocessing.get_all_start_methods()
        fork = "forkserver" if sys.platform == "linux" and "forkserver" in methods else "spawn"
        self.context: Any = multiprocessing.get_context(fork)
        if fork == "forkserver" and target is work:
            self.context.set_forkserver_preload([_PRELOADED])
        self.shares = _shares(results.missing())
        self.again: list[range] = []
        self.workers: dict[Connection, Worker] = {}
        self.serial = 0

    def run(self, folder: Path) -> None:
        def start() -> None:
            worker = Worker(self.context, self.target, self.results.seed, folder / str(self.serial))
            self.serial += 1
            self.workers[worker.pipe] = worker

        for _ in range(self.jobs):
            start()
        while self.workers:
            for pipe in wait(list(self.workers), timeout=1):
                self._hear(self.workers[pipe])  # type: ignore[index]
            for worker in list(self.workers.values()):
                if worker.is_late(self.limit):
                    worker.process.kill()
            if self.again and len(self.workers) < self.jobs and not self._is_over():
                start()
            self.results.save(time.monotonic() - self.started)
        self.results.save(time.monotonic() - self.started, now=True)

    def _next(self) -> range | None:
        if self._is_over():
            return None
        return self.again.pop() if self.again else next(self.shares, None)

    def _is_over(self) -> bool:
        return time.monotonic() > self.deadline

    def _hear(self, worker: Worker) -> None:
        try:
            kind, number, ended, wrong = worker.pipe.recv()
        except EOFError:
            self._bury(worker)
            return
        worker.since = time.monotonic()
        if worker.stopped:
            return
        if kind == "try":
            worker.trying = number
        elif kind == "end":
            worker.trying = None
            self.results.add(number, ended, wrong)
        if kind == "ready":
            worker.settled = True
            share = self._next()
            worker.share = share or range(0)
            with contextlib.suppress(BrokenPipeError):  # the end of the pipe is heard next
                worker.pipe.send((share.start, share.stop) if share else None)
        elif kind == "end" and self._is_over():
            worker.stop()

    def _bury(self, worker: Worker) -> None:
        del self.workers[worker.pipe]
        worker.process.join()
        if not worker.settled:
            raise RuntimeError(f"a worker ends with {worker.process.exitcode} before it tried anything")
        if worker.stopped or worker.trying is None:
            return
        hung = worker.is_late(self.limit)
        text = "hangs where Python's clock is not heard" if hung else f"the process ends with {worker.process.exitcode}"
        self.results.add(worker.trying, "crash", text)
        if rest := range(worker.trying + 1, worker.share.stop):
            self.again.append(rest)


def _shares(ranges: Iterator[range]) -> Iterator[range]:
    for part in ranges:
        for first in range(part.start, part.stop, SHARE):
            yield range(first, min(first + SHARE, part.stop))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="the first number")
    parser.add_argument("--count", type=int, default=100_000, help="how many numbers")
    parser.add_argument("--jobs", "--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long, whatever the count")
    parser.add_argument("--json", type=Path, default=Path("fuzz.json"), help="results; gone on with where it exists")
    arguments = parser.parse_args()
    # Inherited by the processes, in which one thread each is enough.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    results = Results(arguments.json, arguments.seed, arguments.start, arguments.count)
    results.about = {"python": platform.python_version(), "jobs": arguments.jobs, "cores": os.cpu_count()}
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        Campaign(results, arguments.jobs, arguments.seconds).run(Path(os.path.realpath(folder)))
    print(results.summary(bases()))
    return 1 if results.findings else 0


if __name__ == "__main__":
    sys.exit(main())
