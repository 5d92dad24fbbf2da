"""Baselines: the verdicts a loader is known to get, so that a build fails when one becomes worse, and only then.

A case that is known to fail says why, where that is tracked, and until when it may go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .record import VERDICTS, Report

FORMAT = 1
# From best to worst: a refusal of what was never claimed misleads nobody, a wrong weight does, a crash tells nothing.
RANK = {"pass": 0, "refused": 1, "fail": 2, "error": 3}


# Cases of earlier suites that are no more, and why. An id is never used again for anything else.
RETIRED = {
    "policies/eights-without-sym": "sym means true where it is absent: see policies/eights-where-sym-is-absent",
    "affine/eights-without-sym": "sym means true where it is absent: see affine/eights-where-sym-is-absent",
    "refusals/gptq-gptq_v2": "version 2 is decoded: see policies/version-2",
    "affine/refuses-gptq-gptq_v2": "version 2 is decoded: see affine/version-2",
    "refusals/gptq-gptq_v2-sevens": "version 2 is decoded: see policies/version-2",
    "affine/refuses-gptq-gptq_v2-sevens": "version 2 is decoded: see affine/version-2",
    "checkpoints/gptq-asymmetric-gptq_v2": "version 2 is decoded: see checkpoints/gptq-version-2",
    "refusals/gptq-gptq_p": "planes of bits are decoded: see policies/gptq_planar-one-plane-4bit",
    "affine/refuses-gptq-gptq_p": "planes of bits are decoded: see policies/gptq_planar-one-plane-4bit",
}


class BaselineError(Exception):
    """A file that is no baseline, or none of this subject."""


@dataclass(frozen=True)
class Known:
    """Cases (ids or patterns) that are known not to pass: ``reason``, a ``link``, and the day it ``expires``."""

    cases: list[str]
    reason: str
    link: str
    expires: str

    def __post_init__(self) -> None:
        if not self.cases or not self.reason.strip():
            raise BaselineError("a known failure needs cases and a reason")
        if not self.link.startswith(("https://", "http://")):
            raise BaselineError(f"{self.reason!r}: the link {self.link!r} is no address")
        try:
            date.fromisoformat(self.expires)
        except ValueError:
            raise BaselineError(f"{self.reason!r}: expires {self.expires!r} is no date such as 2027-01-31") from None

    def matches(self, case: str) -> bool:
        return any(fnmatchcase(case, pattern) for pattern in self.cases)


@dataclass
class Baseline:
    """``cases``: id to verdict, of suite ``suite``."""

    suite: str
    subject: str
    cases: dict[str, str]
    known: list[Known] = field(default_factory=list)

    def write(self, file: Path) -> None:
        content = {
            "format": FORMAT,
            "suite": self.suite,
            "subject": self.subject,
            "known": [asdict(entry) for entry in self.known],
            "cases": {
                verdict: sorted(id for id, word in self.cases.items() if word == verdict)
                for verdict in reversed(VERDICTS)
                if verdict in self.cases.values()
            },
        }
        file.write_text(json.dumps(content, indent=1) + "\n")


def read(file: Path) -> Baseline:
    """BaselineError for anything but a baseline."""
    try:
        content: dict[str, Any] = json.loads(file.read_text())
        if content["format"] != FORMAT or not content["cases"].keys() <= RANK.keys():
            raise BaselineError(f"{file} is no baseline of format {FORMAT}")
        cases = {id: verdict for verdict, ids in content["cases"].items() for id in ids}
        return Baseline(content["suite"], content["subject"], cases, [Known(**entry) for entry in content["known"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineError(f"{file} is no baseline: {error!r}") from error


@dataclass
class Findings:
    """What a run has to say to a baseline.

    ``better`` is good news, and ``aside`` is worse where nothing is required; every other list fails the gate.
    """

    worse: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    better: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return [*self.worse, *self.unexplained, *self.expired, *self.stale, *self.unmatched]


def compare(before: Baseline, report: Report, today: date) -> Findings:
    """Hold a run to the baseline."""
    found, now = Findings(), {record.id: record for record in report.records}
    if before.subject != report.subject:
        raise BaselineError(f"the baseline is of {before.subject}, the run of {report.subject}")
    if before.suite != report.header["suite"]:
        found.stale.append(f"the baseline is of suite {before.suite}, this is {report.header['suite']}: --migrate it")
        return found
    found.stale += [f"{id} is in the baseline, and no case of this run" for id in before.cases if id not in now]
    found.unmatched += [f"{id} is not in the baseline" for id in now if id not in before.cases]
    for id, was in before.cases.items():
        if (record := now.get(id)) is None:
            continue
        if RANK[record.verdict] > RANK[was]:
            place = found.worse if record.tier in report.required else found.aside
            place.append(f"{id}: was {was}, now {record.verdict}: {record.why}")
        elif RANK[record.verdict] < RANK[was]:
            found.better.append(f"{id}: was {was}, now {record.verdict}")
        elif record.bad and record.tier in report.required:
            entries = [entry for entry in before.known if entry.matches(id)]
            if not entries:
                found.unexplained.append(f"{id} is known to {record.verdict}, but no entry says why")
            elif all(date.fromisoformat(entry.expires) < today for entry in entries):
                found.expired.append(f"{id}: {entries[0].reason} ({entries[0].link}) expired on {entries[0].expires}")
    bad = [record.id for record in report.records if record.bad]
    found.stale += [
        f"{', '.join(entry.cases)} ({entry.reason}) matches no failing case: take it out"
        for entry in before.known
        if not any(entry.matches(id) for id in bad)
    ]
    return found


def update(before: Baseline | None, report: Report, explain: Known | None) -> Baseline:
    """The baseline of this run. Known failures that still fail stay; ``explain`` says why of the others.

    BaselineError if a failure is left that nobody explains.
    """
    bad = [record.id for record in report.faults]
    known = [entry for entry in (before.known if before else []) if any(entry.matches(id) for id in bad)]
    left = [id for id in bad if not any(entry.matches(id) for entry in known)]
    if left and explain is None:
        some = ", ".join(left[:3])
        raise BaselineError(f"{len(left)} failing cases need --reason, --link and --expires: {some}, ...")
    if left and explain is not None:
        known.append(Known(left, explain.reason, explain.link, explain.expires))
    cases = {record.id: record.verdict for record in report.records}
    return Baseline(report.header["suite"], report.subject, cases, known)


def migrate(before: Baseline, report: Report, explain: Known | None) -> tuple[Baseline, list[str]]:
    """The baseline of an earlier suite brought to the suite of this run, and a line for each case that is no more.

    What both suites ask must not have become worse meanwhile: an upgrade of the suite is no occasion to hide that.
    BaselineError where it did, for a case that vanished without having been retired, and as :func:`update`.
    """
    if before.subject != report.subject:
        raise BaselineError(f"the baseline is of {before.subject}, the run of {report.subject}")
    now = {record.id: record.verdict for record in report.records}
    gone = [id for id in before.cases if id not in now]
    if unknown := [id for id in gone if id not in RETIRED]:
        raise BaselineError(f"{unknown[0]} is in the baseline and in no list of retired cases ({len(unknown)} such)")
    worse = [id for id, was in before.cases.items() if id in now and RANK[now[id]] > RANK[was]]
    if worse:
        id = worse[0]
        raise BaselineError(f"{id} was {before.cases[id]}, now {now[id]} ({len(worse)} such): mend it first")
    return update(before, report, explain), [f"{id} is no more: {RETIRED[id]}" for id in gone]


def summary(found: Findings) -> Iterable[str]:
    """Lines for people, the worst first."""
    titles = {
        "worse": "WORSE",
        "unexplained": "UNEXPLAINED",
        "expired": "EXPIRED",
        "stale": "STALE",
        "unmatched": "UNMATCHED",
        "better": "better",
        "aside": "worse, not required",
    }
    for name, title in titles.items():
        for line in getattr(found, name):
            yield f"{title}  {line}"
