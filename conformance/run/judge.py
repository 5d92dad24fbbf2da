"""A subject before the suite: one record a case, and what they come to."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from .. import SUITE_VERSION
from ..cases.case import Case
from ..cases.tiers import TIERS
from ..cases.verdict import Verdict
from ..levels.catalogue import FLOORS
from ..suite import cases, questions
from .claims import Claims, examine
from .coverage import there_are
from .record import Record, Report

# JSON has no infinity.
MOST_STEPS = 1e9
CONFORMS, FAULT, USAGE, BELOW_FLOOR = 0, 1, 2, 3


def judge(
    subject: Any,
    oracle: Any,
    *,
    name: str,
    only: Iterable[str] = (),
    exhaustive: bool = False,
    require: Iterable[str] = TIERS,
    say: Callable[[Record], None] = lambda record: None,
    start: Callable[[int], None] = lambda count: None,
) -> Report:
    """Every case there is something to ask of; Miswired if the adapter is not fit to be judged.

    Args:
        name: what the subject was called on the command line.
        only: patterns of case ids; with any the run is partial, and no floor holds it.
        require: the tiers in which a failure counts; every case is asked all the same.
        say, start: told each record, and before all the number of cases.
    """
    claims = examine(subject, {question.id: question for question in questions()})
    patterns = list(only)
    chosen = [case for case in cases(exhaustive) if not patterns or any(fnmatchcase(case.id, p) for p in patterns)]
    asked = [case for case in chosen if claims.tests(case)]
    start(len(asked))
    records = []
    for case in asked:
        records.append(_record(case, claims, subject, oracle))
        say(records[-1])
    header = {
        "suite": SUITE_VERSION,
        "subject": subject.name,
        "called": name,
        "info": claims.info,
        "claims": sorted(kind for kind, claim in claims.by_kind.items() if claim),
        "oracle": {"name": oracle.name, **oracle.info()},
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "partial": bool(patterns),
        "exhaustive": exhaustive,
        "require": [tier for tier in TIERS if tier in set(require)],
        "suite_cases": there_are(),
    }
    return Report(header, records, below_floor(records, claims) if not patterns else [])


def _record(case: Case, claims: Claims, subject: Any, oracle: Any) -> Record:
    started = time.perf_counter()
    verdict = case.judge(subject, oracle)
    word, why, manner = _word(case, verdict, claims.covers(case))
    return Record(
        id=case.id,
        level=case.level,
        claim=case.claim,
        flags=sorted(case.flags),
        verdict=word,
        why=why,
        weights=verdict.weights,
        wrong=verdict.wrong,
        ulps=verdict.ulps,
        note=verdict.note,
        steps=None if verdict.steps is None else min(round(verdict.steps, 6), MOST_STEPS),
        manner=manner,
        first=None if verdict.first is None else list(verdict.first),
        got=verdict.got,
        tier=case.tier,
        unequal=verdict.unequal,
        asked=case.asked,
        seconds=round(time.perf_counter() - started, 4),
    )


def _word(case: Case, verdict: Verdict, claimed: bool) -> tuple[str, str, str]:
    """(verdict of a record, why, manner)."""
    if not verdict.complaint:
        return "pass", "", ""
    if verdict.manner == "crashed":
        # Loud is loud: what was never claimed need not be declined politely.
        return "error" if claimed else "refused", verdict.complaint, verdict.manner
    # The code of a refusal is owed by those who claim to know the format; others say that they do not.
    if verdict.manner != "refused" or (case.declined and claimed):
        return "fail", verdict.complaint, verdict.manner
    if claimed:
        return "fail", f"claimed, but {verdict.complaint}", "unread"
    return "refused", verdict.complaint, verdict.manner


def below_floor(records: Iterable[Record], claims: Claims) -> list[str]:
    """Levels with fewer cases than the suite has for what the subject claims."""
    counted = Counter((record.level, record.claim) for record in records)
    return [
        f"{level}: {counted[level, claim]} cases, {floor} expected"
        for (level, claim), floor in FLOORS.items()
        if claims.by_kind[claim] and counted[level, claim] < floor
    ]


def status(report: Report) -> int:
    """0 conforms to what is required, 1 does not, 3 fewer cases than the floor."""
    if report.faults:
        return FAULT
    return BELOW_FLOOR if report.below_floor or not report.records else CONFORMS
