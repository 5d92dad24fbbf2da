"""JUnit XML: a test suite a level, a test case a case."""

from __future__ import annotations

import json
import re

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from ..run.record import Record, Report
from .reproduce import command
from .table import total, ulp_words

# What XML 1.0 cannot hold; a loader's message may.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """The whole document. Refused cases were never claimed and count as skipped."""
    document = JUnitXml(_legal(f"{report.subject}, suite {report.header['suite']}"))
    for level in dict.fromkeys(record.level for record in report.records):
        own = [record for record in report.records if record.level == level]
        suite = _suite(report, level)
        suite.add_testcases([_case(report, record) for record in own])
        document.add_testsuite(suite)
    if report.below_floor or not report.records:
        floor = TestCase("floor", "floor")
        floor.result = [Error("; ".join(map(_legal, report.below_floor)) or "no cases", "floor")]
        suite = _suite(report, "floor")
        suite.add_testcase(floor)
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    return _text(document)


def _suite(report: Report, name: str) -> TestSuite:
    suite = TestSuite(name)
    for key, value in report.header.items():
        suite.add_property(key, _legal(value if isinstance(value, str) else json.dumps(value)))
    return suite


def _case(report: Report, record: Record) -> TestCase:
    case = TestCase(record.id, f"{record.level}.{record.claim}", record.seconds)
    if record.verdict == "pass":
        return case
    kind = {"fail": Failure, "error": Error, "refused": Skipped}[record.verdict]
    result = kind(_legal(record.why), record.verdict)
    result.text = _legal("\n".join(_details(report, record)))
    case.result = [result]
    return case


def _details(report: Report, record: Record) -> list[str]:
    lines = [record.why, f"claim: {record.claim}", f"flags: {', '.join(record.flags)}"]
    if record.wrong:
        lines.append(f"weights: {record.wrong} of {record.weights} wrong")
    if record.ulps:
        lines.append(
            "ulps: " + ", ".join(f"{count} by {ulp_words(name)}" for name, count in total([record.ulps]).items())
        )
    if record.note:
        lines.append(record.note)
    return [*lines, command(record.id, str(report.header["called"]))]


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


def _text(document: JUnitXml) -> str:
    written = document.tostring()  # type: ignore[no-untyped-call]
    text = written.decode() if isinstance(written, bytes) else str(written)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'
