"""What the fuzzer found: written while it runs, gone on with later."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.safety.trial import Bases, numbered

_EVERY = 5.0


class Results:
    """Endings by number of inputs, and findings: one a distinct complaint, with every number that had it."""

    def __init__(self, file: Path, seed: int, start: int, count: int) -> None:
        self.file, self.seed, self.wanted = file, seed, range(start, start + count)
        self.endings: Counter[str] = Counter()
        self.findings: dict[str, list[int]] = {}
        self.tried: set[int] = set()
        self.before, self.about = 0.0, {}  # type: float, dict[str, Any]
        self._saved = time.monotonic()
        if file.exists():
            self._read(json.loads(file.read_text()))

    def _read(self, stored: dict[str, Any]) -> None:
        if stored["seed"] != self.seed:
            raise SystemExit(f"{self.file} is of seed {stored['seed']}; name another file with --json")
        self.endings.update(stored["endings"])
        self.findings = {text: list(numbers) for text, numbers in stored["findings"].items()}
        for first, end in stored["tried"]:
            self.tried.update(range(first, end))
        self.before = stored["seconds"]

    def missing(self) -> Iterator[range]:
        """The wanted numbers that were not tried yet."""
        return _ranges(number for number in self.wanted if number not in self.tried)

    def add(self, number: int, ended: str, wrong: str | None) -> None:
        if number in self.tried:
            return
        self.tried.add(number)
        self.endings[ended] += 1
        if wrong:
            self.findings.setdefault(_same(wrong), []).append(number)

    def save(self, seconds: float, *, now: bool = False) -> None:
        """Every few seconds: whole or not at all."""
        if not now and time.monotonic() - self._saved < _EVERY:
            return
        self._saved = time.monotonic()
        stored = {
            "seed": self.seed,
            "inputs": len(self.tried),
            "seconds": round(self.before + seconds, 1),
            **self.about,
            "endings": dict(self.endings.most_common()),
            "findings": self.findings,
            "tried": [[part.start, part.stop] for part in _ranges(iter(sorted(self.tried)))],
        }
        beside = self.file.with_name(self.file.name + ".partial")
        beside.write_text(json.dumps(stored, indent=1) + "\n")
        os.replace(beside, self.file)

    def summary(self, sound: Bases) -> str:
        lines = [f"{number:8d} {code}" for code, number in self.endings.most_common()]
        lines.append(f"{len(self.tried)} inputs of seed {self.seed}, {len(self.findings)} findings")
        for text, numbers in self.findings.items():
            base, edits, door = numbered(self.seed, numbers[0], sound)
            line = {"base": base, "edits": edits, "from": f"seed {self.seed}, input {numbers[0]}", "was": text}
            lines += [f"{len(numbers)} of door {door}, as a line of findings.jsonl:", json.dumps(line)]
        return "\n".join(lines)


def _same(complaint: str) -> str:
    """Without what differs from one input to the next."""
    return re.sub(r"/\S*/(?=[\w.-]+)|0x[0-9a-f]+", "", complaint)[:400]


def _ranges(numbers: Iterator[int]) -> Iterator[range]:
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield range(first, last + 1)
            first = last = number
    if first is not None and last is not None:
        yield range(first, last + 1)
