"""What users of real checkpoints want to know: which kinds of them a loader misreads, and whether it says so.

A kind of checkpoint is judged by plain cases: sound data, with nothing about it that the producers of that kind do not
write. What is unusual has cases, and causes, of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..cases.tiers import SOUND
from ..formats.registry import BY_SLUG
from ..run.record import Record, Report
from .table import name
from .variants import ROWS, TITLES, unsound

RIGHT, ROUNDED, SILENT, OTHER, LOUD = "right", "rounded", "WRONG", "differs", "fails"
UNCLAIMED, UNASKED = "not read", "-"
MEANING = {
    SILENT: "reads some of them wrong and says nothing",
    OTHER: "reads some of them by another rule than the written policy, where upstream's own readers part",
    LOUD: "claims them, and refuses some or ends in an error",
    ROUNDED: "the right codes, rounded once more than need be or into another dtype",
    RIGHT: "reads them as they are meant, or so many of them and claims no more",
    UNCLAIMED: "does not claim to read them, and says so",
    UNASKED: "was not asked",
}
# What hardly any published checkpoint of a kind has.
UNUSUAL = frozenset(
    {
        "no-g_idx",
        "no-qzeros",
        "arbitrary-groups",
        "ragged",
        "odd-width",
        "group-size-other",
        "group-size-16",
        "group-size-256",
        "group-size-512",
        "group-size-1024",
        "scales-float32",
        "scales-bfloat16",
        "out-dtype",
        "legacy-config",
        "kept",
        "any-finite-scales",
        "huge-scales",
        "negative-scales",
        "subnormal-scales",
        "zero-scales",
    }
)


@dataclass(frozen=True)
class Family:
    """A kind of checkpoint: records of these ``hold``."""

    title: str
    holds: Callable[[Record], bool]


@dataclass(frozen=True)
class State:
    """What a loader makes of a family: a word of ``MEANING``, and how many of its cases say so."""

    word: str
    cases: int
    of: int

    @property
    def css(self) -> str:
        """The class of a cell of the page."""
        classes = {RIGHT: "good", SILENT: "bad", LOUD: "partly", OTHER: "partly", ROUNDED: "partly"}
        return classes.get(self.word, "refused" if self.word == UNCLAIMED else "none")

    @property
    def text(self) -> str:
        if self.word in (UNASKED, UNCLAIMED) or self.cases == self.of:
            return f"**{self.word}**" if self.word == SILENT else self.word
        word = f"**{self.word}**" if self.word == SILENT else self.word
        return f"{word} {self.cases} of {self.of}"


def families() -> list[Family]:
    """The kinds that formats name for a short table, and whole real checkpoints."""
    found = [
        Family(title, _holds(slug, frozenset(wanted), frozenset(unwanted)))
        for slug in TITLES
        for title, (wanted, unwanted) in BY_SLUG[slug].BRIEF.items()
    ]
    return [*found, Family("whole real checkpoints", lambda r: r.claim in ROWS["model"] and "real" in r.flags)]


def _holds(slug: str, wanted: frozenset[str], unwanted: frozenset[str]) -> Callable[[Record], bool]:
    def holds(record: Record) -> bool:
        # The cheapest question first: a page asks it of every record for every family.
        if slug not in record.flags or record.level not in PLAIN:
            return False
        flags, module = set(record.flags), record.claim not in ROWS["model"] and not unsound(record)
        return module and wanted <= flags and not (unwanted | (UNUSUAL - wanted)) & flags

    return holds


# Levels whose modules are such as producers write; proofs and enumerations are not.
PLAIN = frozenset({"vectors", "policies", "synthetic", "modules", "affine"})


def state(records: Iterable[Record]) -> State:
    """The worst that is true of some cases of a family."""
    own = list(records)
    rounded = [record for record in own if _rounded(record)]
    silent = [record for record in own if record.silent and not _rounded(record) and record.tier == SOUND]
    other = [record for record in own if record.silent and not _rounded(record) and record.tier != SOUND]
    loud = [record for record in own if record.bad and not record.silent]
    if not own:
        return State(UNASKED, 0, 0)
    for word, found in ((SILENT, silent), (LOUD, loud), (OTHER, other), (ROUNDED, rounded)):
        if found:
            return State(word, len(found), len(own))
    answered = sum(record.verdict == "pass" for record in own)
    return State(RIGHT if answered else UNCLAIMED, answered, len(own))


def _rounded(record: Record) -> bool:
    return record.inexact or (record.silent and re.search(r"dtype \w+, expected \w+", record.why) is not None)


def rows(reports: list[Report]) -> list[tuple[Report, str, list[State]]]:
    """A row a loader and form: what it gives, and the state of every family."""
    kinds, found = families(), []
    for report in reports:
        forms = [form for form in ("dense", "affine") if any(record.claim == form for record in report.records)]
        for form in forms or ["model"]:
            own = [r for r in report.records if r.claim == form or r.claim in ROWS["model"]]
            states = [state(record for record in own if kind.holds(record)) for kind in kinds]
            found.append((report, GIVES[form], states))
    return found


def table(reports: list[Report]) -> str:
    """One row a loader and form, one column a family, and what the words mean."""
    kinds = families()
    lines = [f"| loader | gives | {' | '.join(kind.title for kind in kinds)} |", f"|---|---|{'---|' * len(kinds)}"]
    for report, form, states in rows(reports):
        lines.append(f"| {name(report)} | {form} | {' | '.join(found.text for found in states)} |")
    said = "; ".join(f"`{word}`: {meaning}" for word, meaning in MEANING.items())
    return "\n".join([*lines, "", f"{said}."]) + "\n"


GIVES = {"dense": "weights", "affine": "MLX's packed form", "model": "models"}
