"""Reports: a JSON line for the header, one a case, and one that says the run came to its end."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..cases.tiers import SOUND, TIERS
from ..formats.registry import BY_SLUG

VERDICTS = ("pass", "fail", "refused", "error")
FORMAT = 1


class ReportError(Exception):
    """A file that is no complete report."""


@dataclass(frozen=True)
class Record:
    """One case.

    ``verdict`` is one of ``VERDICTS``; ``refused`` means that the loader never claimed to read this. ``steps`` is the
    largest error in quantisation steps: below one half, codes and zero points are right and the arithmetic rounds.
    ``manner`` says how it failed (see :class:`Verdict`; ``unread`` is a refusal of what is claimed), ``first`` where
    the first wrong weight of a module is, and ``got`` what its bits are. ``tier`` is the kind of demand. ``unequal``
    counts the weights of a packed affine form that are not the exact ones once computed; None where nothing is packed.
    ``asked`` is the digest of the question.
    """

    id: str
    level: str
    claim: str
    flags: list[str]
    verdict: str
    why: str = ""
    weights: int = 0
    wrong: int = 0
    ulps: dict[str, int] = field(default_factory=dict)
    note: str = ""
    steps: float | None = None
    manner: str = ""
    first: list[int] | None = None
    got: int | None = None
    seconds: float = 0.0
    tier: str = SOUND
    unequal: int | None = None
    asked: str = ""

    @cached_property
    def format(self) -> str:
        """Slug of its format; a case that needs another one beside its own is counted with the first of them."""
        return next((slug for slug in BY_SLUG if slug in self.flags), "")

    @property
    def inexact(self) -> bool:
        """Whether rounding alone explains it."""
        return self.verdict == "fail" and self.steps is not None and self.steps < 0.5

    @property
    def bad(self) -> bool:
        return self.verdict in ("fail", "error")

    @property
    def silent(self) -> bool:
        """Whether something wrong was given for an answer, and nobody was told."""
        return self.verdict == "fail" and self.manner not in ("refused", "unread")


@dataclass
class Report:
    """A run: ``below_floor`` says what was missing, in sentences."""

    header: dict[str, Any]
    records: list[Record]
    below_floor: list[str] = field(default_factory=list)

    @property
    def subject(self) -> str:
        return str(self.header["subject"])

    @property
    def required(self) -> tuple[str, ...]:
        """The tiers that a failure counts in."""
        return tuple(self.header.get("require", TIERS))

    @property
    def faults(self) -> list[Record]:
        """What fails of the tiers that are required."""
        return [record for record in self.records if record.bad and record.tier in self.required]

    @property
    def counts(self) -> Counter[str]:
        return Counter(record.verdict for record in self.records)

    def write(self, file: Path) -> None:
        """Empty fields are left out of a case's line."""
        lines: list[dict[str, Any]] = [{"type": "header", "format": FORMAT, **self.header}]
        lines += [{"type": "case", **_stored(record)} for record in self.records]
        footer = {"cases": len(self.records), "counts": dict(self.counts), "below_floor": self.below_floor}
        lines.append({"type": "footer", **footer})
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))


_EMPTY = asdict(Record("", "", "", [], ""))


def _stored(record: Record) -> dict[str, Any]:
    return {key: value for key, value in asdict(record).items() if value != _EMPTY[key]}


def read(file: Path) -> Report:
    """ReportError unless header, footer and the cases between them are all there."""
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        header, *cases, footer = lines
        if (header.pop("type"), footer.pop("type")) != ("header", "footer") or header.pop("format") != FORMAT:
            raise ReportError(f"{file}: no header of format {FORMAT}, or no footer")
        for case in cases:
            case.pop("type", None)
        records = [Record(**{"flags": [], **case}) for case in cases]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"{file} is no report: {error}") from error
    if footer["cases"] != len(records):
        raise ReportError(f"{file}: the footer counts {footer['cases']} cases, {len(records)} are there")
    return Report(header, records, footer["below_floor"])
