"""What a subject says it reads, and the smoke test that tells a mis-wired adapter from a wrong loader."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..bits.array import FLOATS, Array
from ..cases.case import Case
from ..cases.question import Question
from ..corpus.fixtures import checkpoint, heard_checkpoints
from ..formats.dialects import NAMES
from ..formats.registry import BY_SLUG, named
from ..levels import affine
from ..subjects.ask import decode, load
from ..subjects.subject import Crashed, Model, Refused


class Miswired(Exception):
    """The adapter does not connect the loader to the suite, so its verdicts would say nothing about the loader."""


@dataclass(frozen=True)
class Claim:
    """Formats that are read, but for cases with one of the excluded flags."""

    formats: frozenset[str]
    excludes: frozenset[str]

    def covers(self, case: Case) -> bool:
        # A packing is not claimed in whichever dialect it may come, nor beside any other.
        needed = {case.format} | ((NAMES | BY_SLUG.keys()) & case.flags)
        return needed <= self.formats and not self.excludes & case.flags


@dataclass(frozen=True)
class Claims:
    """``dense``, ``affine``, ``checkpoint`` and ``logits``: None where the subject has nothing of the kind."""

    info: dict[str, Any]
    by_kind: dict[str, Claim | None]

    def covers(self, case: Case) -> bool:
        claim = self.by_kind[case.claim]
        return claim is not None and claim.covers(case)

    def tests(self, case: Case) -> bool:
        """Whether there is anything to ask."""
        return self.by_kind[case.claim] is not None


class _Examination:
    def __init__(self, subject: Any, questions: dict[str, Question]) -> None:
        self.subject, self.questions = subject, questions

    @cached_property
    def info(self) -> dict[str, Any]:
        try:
            found = self.subject.info()
            json.dumps(found)
        except Exception as error:
            raise Miswired(f"info() fails: {error!r}") from error
        if not isinstance(found, dict):
            raise Miswired(f"info() returns {type(found).__name__}, not a dict")
        return found

    def claim(self, said: dict[str, Any], where: str) -> Claim:
        for key in ("formats", "excludes"):
            value = said.get(key, [])
            if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
                raise Miswired(f"{where}[{key!r}] is no list of names")
        formats = frozenset(said.get("formats", ()))
        if not formats & BY_SLUG.keys():
            raise Miswired(
                f"{where}['formats'] is {sorted(formats)}; the suite has cases for {', '.join(sorted(BY_SLUG))}"
            )
        return Claim(formats, frozenset(said.get("excludes", ())))

    def plainest(self, claim: Claim, ask: Callable[[Question], Exception | None]) -> None:
        """One that refuses all it claims is not connected; a wrong loader may well refuse one format."""
        smoke = [f"synthetic/{format.SLUG}-{format.SMOKE}" for format in named(claim.formats)]
        for id in smoke:
            if unsaid := (NAMES & self.questions[id].flags) - claim.formats:
                raise Miswired(f"'formats' lacks {sorted(unsaid)}, the dialect of {id}, a plain module of those it has")
        refused = [ask(self.questions[id]) for id in smoke]
        if all(refused):
            raise Miswired(f"it refuses the plainest module of all it claims: {refused[0]!r}")

    def dense(self, question: Question) -> Exception | None:
        outcome = decode(self.subject, question.config, question.tensors)
        if isinstance(outcome, Refused):
            return outcome.error
        if not isinstance(outcome, Array):
            raise Miswired(f"dequantize crashes on {question.id}, a plain module: {outcome.error!r}")
        due = question.answer(None)
        if outcome.shape == due.shape[::-1]:
            raise Miswired(f"dequantize returns [in, out] = {list(outcome.shape)} for {question.id}; [out, in] is due")
        if outcome.shape != due.shape or outcome.dtype not in FLOATS:
            raise Miswired(f"dequantize returns {outcome} for {question.id}; a float array {list(due.shape)} is due")
        return None

    def affine(self, question: Question) -> Exception | None:
        outcome = affine.repacked(self.subject, question)
        if isinstance(outcome, Crashed):
            raise Miswired(f"to_affine fails on {question.id}: {outcome.error!r}")
        return outcome.error if isinstance(outcome, Refused) else None

    def loads(self, claim: Claim) -> None:
        """Whether ``load`` returns weights by name, or a model that runs."""
        name = next(n for n in heard_checkpoints() if checkpoint(n).format.SLUG in claim.formats)
        found = checkpoint(name)
        try:
            with found.lent() as folder:
                loaded = load(self.subject, folder)
                logits = loaded([1, 2, 3]) if isinstance(loaded, Model) else None
        except Exception as error:
            raise Miswired(f"load fails on {name}, a plain checkpoint of a format it claims: {error!r}") from error
        if logits is None:
            assert not isinstance(loaded, Model)
            if missing := sorted(name for name in found.tensors if "norm" in name and name not in loaded):
                raise Miswired(f"load returns no {missing[0]}; weights go by their names in the checkpoint")
            return
        due = (3, found.config["vocab_size"])
        if logits.shape != due:
            raise Miswired(f"the model returns logits {list(logits.shape)} for 3 tokens; {list(due)} are due")


def examine(subject: Any, questions: dict[str, Question]) -> Claims:
    """Ask the plainest things; Miswired if even those do not come through."""
    look = _Examination(subject, questions)
    claim = look.claim(look.info, "info()")
    kinds: dict[str, Claim | None] = dict.fromkeys(("dense", "affine", "checkpoint", "logits"))
    if hasattr(subject, "dequantize"):
        look.plainest(claim, look.dense)
        kinds["dense"] = claim
    if hasattr(subject, "to_affine"):
        said = look.info.get("affine", look.info)
        if not isinstance(said, dict):
            raise Miswired(f"info()['affine'] is {type(said).__name__}, not a dict with formats and excludes")
        kinds["affine"] = own = look.claim(said, "info()['affine']")
        look.plainest(own, look.affine)
    if hasattr(subject, "load"):
        look.loads(claim)
        # Weights can be put into a model of ours and heard; a model cannot be taken apart, but is asked every folder.
        kinds["checkpoint"] = kinds["logits"] = claim
    return Claims(look.info, kinds)
