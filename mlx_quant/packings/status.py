"""Whether a packing may be used: what its author declares, held against the evidence that the suite has written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..errors import UnsupportedFormat
from .protocol import Packing, Status

# One file a format, written by the conformance suite's command line and by nothing else.
FOLDER = Path(__file__).parent / "evidence"
# Whether a packing that is declared enabled counts as a candidate while its evidence is absent or incomplete.
EVIDENCE_REQUIRED = True


@dataclass(frozen=True)
class Evidence:
    """What the conformance suite found of one format.

    Attributes:
        format: format id.
        suite: version of the suite.
        complete: whether every level that applies ran in full and passed.
        missing: what is lacking, if it is not complete.
        levels: id of a level to the number of its ``cases`` and of the ``weights`` compared in them.
        upstream: producers, with versions, whose packed tensors were decoded.
        mutants: how many faulty decoders were ``asked``, and how many of them the suite ``caught``.
    """

    format: str
    suite: str
    complete: bool
    missing: tuple[str, ...]
    levels: dict[str, dict[str, int]]
    upstream: tuple[str, ...]
    mutants: dict[str, int]

    def __str__(self) -> str:
        cases, weights = (sum(level[key] for level in self.levels.values()) for key in ("cases", "weights"))
        counted = f"{cases:,} cases, {weights:,} weights, {self.mutants['caught']} of {self.mutants['asked']} mutants"
        against = f", against {', '.join(self.upstream)}" if self.upstream else ""
        lacking = "" if self.complete else f"; incomplete: {', '.join(self.missing) or 'not said why'}"
        return f"suite {self.suite}: {counted}{against}{lacking}"


@dataclass(frozen=True)
class FormatStatus:
    """Whether one format is decoded.

    Attributes:
        name: format id, or the ``quant_method`` that is refused.
        status: ``"enabled"``, ``"candidate"`` (decoded only when asked) or ``"refused"``.
        reason: why not, or what of it is decoded.
        bits, layouts: what of a format is decoded; empty for a refused one.
        evidence: what the conformance suite found; None where it has not written anything.
    """

    name: str
    status: Status
    reason: str
    bits: tuple[int, ...] = ()
    layouts: tuple[str, ...] = ()
    evidence: Evidence | None = None


def read_evidence(format: str, folder: Path | None = None) -> Evidence | None:
    """The evidence of one format, or None; ValueError for a file that is not one.

    ``folder`` None is where the package keeps it, which is read once: every module that is decoded asks.
    """
    return _kept(FOLDER, format) if folder is None else _read(folder, format)


def status_of(packing: Packing, folder: Path | None = None, required: bool | None = None) -> FormatStatus:
    """The status of a packing, which is no better than its evidence in ``folder`` allows.

    ``required`` None is :data:`EVIDENCE_REQUIRED`.
    """
    evidence = read_evidence(packing.ID, folder)
    status = packing.STATUS
    reason = f"{packing.TITLE}: {', '.join(map(str, packing.BITS))} bits, layout {', '.join(packing.LAYOUTS)}"
    if status == "enabled" and (EVIDENCE_REQUIRED if required is None else required) and not _proven(evidence):
        status = "candidate"
        reason += "; its evidence is incomplete" if evidence else "; there is no evidence of it"
    return FormatStatus(packing.ID, status, reason, packing.BITS, packing.LAYOUTS, evidence)


def allow(packing: Packing, candidates: bool) -> None:
    """Raise unless a packing may be used.

    Raises UnsupportedFormat ``candidate-format`` for a candidate unless ``candidates``, and ``unsupported-layout`` for
    a refused one.
    """
    if packing.STATUS == "enabled" and (not EVIDENCE_REQUIRED or _proven(read_evidence(packing.ID))):
        return
    found = status_of(packing)
    if found.status == "refused":
        raise UnsupportedFormat("unsupported-layout", f"{found.name} is refused ({found.reason})", where=found.name)
    if found.status == "candidate" and not candidates:
        raise UnsupportedFormat(
            "candidate-format",
            f"{packing.TITLE} is decoded, but not proven yet ({found.reason}); to decode it all the same, pass "
            "candidates=True, or --candidates on the command line",
            where=found.name,
        )


def _proven(evidence: Evidence | None) -> bool:
    return evidence is not None and evidence.complete


@lru_cache(maxsize=256)
def _kept(folder: Path, format: str) -> Evidence | None:
    return _read(folder, format)


def _read(folder: Path, format: str) -> Evidence | None:
    file = folder / f"{format}.json"
    if not file.exists():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    try:
        evidence = Evidence(
            format=str(found["format"]),
            suite=str(found["suite"]),
            complete=found["complete"] is True,
            missing=tuple(map(str, found["missing"])),
            levels={
                str(level): {key: int(counts[key]) for key in ("cases", "weights")}
                for level, counts in found["levels"].items()
            },
            upstream=tuple(map(str, found["upstream"])),
            mutants={key: int(found["mutants"][key]) for key in ("asked", "caught")},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file.name} is no evidence: {error!r}; let the suite write it again") from error
    if evidence.format != file.stem:
        raise ValueError(f"{file.name} is evidence of {evidence.format}")
    return evidence
