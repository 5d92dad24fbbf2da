"""Failures grouped by what causes them: thirty crashes for want of one tensor are one fact about a loader.

Some causes have a name, and a predicate over what was asked and what came of it. What none of them explains is grouped
by the flag that most of it shares, and what is left by what was said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..formats.registry import BY_SLUG
from .record import Record, Report

SILENT, LOUD, OTHER, DUE = LOUDNESS = ("silently wrong", "fails loudly", "other policy", "unsound input")
MEANING = {
    SILENT: "sound data is answered with something else, and nobody is told",
    LOUD: "sound data that the loader claims to read is refused, or ends in an error nobody declared",
    OTHER: "where readers part, the answer is another than the one that is written down",
    DUE: "unsound data is read, or ends in an error that was not declared",
}
# A flag explains failures if at least so many of the cases with it fail, in the same way.
MOST = 0.9


@dataclass(frozen=True)
class Cause:
    """``records`` fail for one reason; ``slug`` is its stable name among those of one loader."""

    slug: str
    title: str
    records: tuple[Record, ...]
    loudness: str
    required: bool

    @property
    def example(self) -> Record:
        """The plainest case: with the fewest flags, and the first of those."""
        return min(self.records, key=lambda record: len(record.flags))


@dataclass(frozen=True)
class Named:
    """A cause that was met before. ``holds`` says whether a failing record is explained by it."""

    slug: str
    title: str
    holds: Callable[[Record], bool]


def _says(*words: str) -> Callable[[Record], bool]:
    return lambda record: any(word in record.why for word in words)


def _steps(low: float, high: float) -> Callable[[Record], bool]:
    return lambda record: record.steps is not None and low <= record.steps <= high


def _flag(*flags: str) -> Callable[[Record], bool]:
    return lambda record: bool(set(flags) & set(record.flags))


def _all(*rules: Callable[[Record], bool]) -> Callable[[Record], bool]:
    return lambda record: all(rule(record) for rule in rules)


def _id(pattern: str) -> Callable[[Record], bool]:
    found = re.compile(pattern)
    return lambda record: found.search(record.id) is not None


def _loud(record: Record) -> bool:
    return not record.silent


def _unsound(record: Record) -> bool:
    return record.tier == "unsound"


def _crashed(record: Record) -> bool:
    return record.verdict == "error"


# Formats that store zero points: elsewhere being off by a step is another matter.
ZERO_POINTS = {slug for slug, format in BY_SLUG.items() if format.LAYOUT.zeros or format.LAYOUT.offsets}


def _of_zero_points(record: Record) -> bool:
    """Not where compressed-tensors is asked for another dtype, and as much may be rounded away."""
    recast = {"compressed-tensors", "out-dtype"} <= set(record.flags)
    return record.silent and not recast and bool(ZERO_POINTS & set(record.flags))


# The first that holds explains a record.
NAMED = (
    Named(
        "not-finite",
        "decodes scales that are not finite",
        _all(_id("finite|nan|inf"), _says("decoded", "repacked", "accepted")),
    ),
    Named("needs-g-idx", "needs g_idx, which some files leave out", _all(_flag("no-g_idx"), _says("g_idx"))),
    Named(
        "needs-qzeros", "needs qzeros, which symmetric files may leave out", _all(_says("qzeros"), _loud, _id("-no-"))
    ),
    Named("file-name", "does not find a file that another producer names otherwise", _says("FileNotFoundError")),
    Named("sidecar", "finds its settings in one file only", _all(_id("sidecar|config"), _says("NotFound", "missing"))),
    Named("rounds", "right codes, but rounded more than once", lambda record: record.inexact),
    Named("dtype", "answers in another dtype than is due", _says("dtype float", "dtype bfloat")),
    Named(
        "one-off",
        "zero points are off by one",
        _all(_steps(0.9, 1.6), _of_zero_points),
    ),
    Named(
        "all-ones",
        "a stored zero point of all ones is not 0",
        _all(_flag("zero-point-0"), _of_zero_points, lambda record: record.tier == "policy"),
    ),
    Named("group-index", "does not check the range of g_idx", _all(_unsound, _id("g_idx-(?!text|float|two|short)"))),
    Named("unsound-crash", "ends in an undeclared error where a refusal is due", _all(_unsound, _crashed)),
    Named("unsound-read", "reads a module that has something wrong", _all(_unsound, _says("decoded", "repacked"))),
    Named("wrong-code", "refuses with the wrong code", _all(_unsound, _says("wrong code"))),
    Named("left-behind", "leaves files behind", _says("left temporary files", "left behind")),
    Named("changes-folder", "changes the folder it reads", _says("folder was changed")),
    Named("ends", "ends its process", _says(" died", "was silent for")),
)


def causes(report: Report) -> list[Cause]:
    """What is wrong with a loader, the worst first: silent before loud, then by the number of cases."""
    left = [record for record in report.records if record.bad]
    asked = Counter(flag for record in report.records for flag in record.flags if not _unsound(record))
    found: list[Cause] = []
    for loudness in LOUDNESS:
        own = [record for record in left if loudness_of(record) == loudness]
        for slug, title, records in _grouped(own, asked):
            required = any(record.tier in report.required for record in records)
            found.append(Cause(slug, title, tuple(records), loudness, required))
    return sorted(found, key=lambda c: (not c.required, LOUDNESS.index(c.loudness), -len(c.records)))


def loudness_of(record: Record) -> str:
    """How much a failure hurts those who use the loader."""
    if record.tier == "unsound":
        return DUE
    if record.silent and record.tier == "policy":
        return OTHER
    return SILENT if record.silent else LOUD


def _grouped(own: list[Record], asked: Counter[str]) -> Iterator[tuple[str, str, list[Record]]]:
    named: dict[str, list[Record]] = {}
    rest = []
    for record in own:
        cause = next((cause for cause in NAMED if cause.holds(record)), None)
        if cause is None:
            rest.append(record)
        else:
            named.setdefault(cause.slug, []).append(record)
    titles = {cause.slug: cause.title for cause in NAMED}
    yield from ((slug, titles[slug], records) for slug, records in named.items())
    # An error says itself what is the matter; a wrong number does not.
    said: dict[str, list[Record]] = {}
    for record in rest:
        if not record.silent or " differ" not in record.why:
            said.setdefault(_gist(record), []).append(record)
    for gist, records in said.items():
        slug = re.sub("[^a-z0-9]+", "-", gist.lower()).strip("-")[:60]
        flag = _shared(records, asked)
        yield slug, f"{gist} (wherever {flag})" if flag else gist, records
    yield from _by_flags([record for record in rest if record.silent and " differ" in record.why], asked)


def _shared(records: list[Record], asked: Counter[str]) -> str:
    """The flag that nearly all of these have, and that nearly always means the same; empty without one."""
    failing = Counter(flag for record in records for flag in record.flags)
    fit = [f for f, count in failing.items() if count > 1 and count >= MOST * len(records) and count >= MOST * asked[f]]
    return max(fit, key=lambda flag: (failing[flag], -asked[flag], flag), default="")


def _by_flags(rest: list[Record], asked: Counter[str]) -> Iterator[tuple[str, str, list[Record]]]:
    failing = Counter(flag for record in rest for flag in record.flags)
    while rest:
        unexplained = Counter(flag for record in rest for flag in record.flags)
        fit = [flag for flag, count in unexplained.items() if count > 1 and failing[flag] >= MOST * asked[flag]]
        if not fit:
            yield "other-weights", "other weights than are due", rest
            return
        # Of two that explain as much, the one with fewer cases says more.
        flag = max(fit, key=lambda flag: (unexplained[flag], -asked[flag], flag))
        yield f"where-{flag}", f"other weights wherever {flag}", [r for r in rest if flag in r.flags]
        rest = [record for record in rest if flag not in record.flags]


def _gist(record: Record) -> str:
    """What was said, without what differs from case to case."""
    text = record.why.partition("\n")[0]
    error = re.search(r"(refused|crashed): .*", text)
    if error:
        text = re.sub(r"Command(Crashed|Refused)\(['\"]|says that it failed: |['\"]\)$", "", error.group())
    text = re.sub(r"'[\w.]*\d[\w.]*'|layer\.\w+", "NAME", text)
    text = re.sub(r"([\[(])?-?\d+([., x-]+\d+)*(?(1)[\])])", "N", text)
    return text.replace("\\", "")[:90]
