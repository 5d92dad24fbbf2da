"""Questions: a packed module and what must become of it, as plain data that can be asked, shown and exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from ..bits.array import FLOATS, Array
from ..formats.dialects import spoken
from ..formats.parts import steps
from ..formats.registry import known, parts
from ..formats.spelt import written
from ..subjects.ask import decode
from ..subjects.subject import Refused
from .verdict import Verdict, asked_of, compared, declined


@dataclass(frozen=True)
class Source:
    """Where an expectation comes from: a ``statement``, and the upstream package that says it, if one does."""

    statement: str
    package: str = ""
    version: str = ""

    @classmethod
    def reader(cls, producer: str, what: str = "own reader") -> Source:
        """Of vectors, which are called after a package and its version."""
        package, _, version = producer.rpartition("-")
        return cls(f"{producer}'s {what}", package, version)


@dataclass(frozen=True)
class Question:
    """One module.

    Attributes:
        id: stable slug, ``level/name``; never renumbered and never reused.
        level: the level it belongs to.
        format: slug of its format; of that which it is held against where it is none of the suite's.
        config, tensors, dtype: what a subject is given.
        flags: what is particular about it; those of :func:`flags_of`, and more.
        expected: the bits [out, in] due; None where the oracle is asked, or where a refusal is due.
        code: where a refusal is due, the stable code our own errors carry.
        readings: where a refusal is due, weights that a loader which knows more may give instead.
        source: who says so.
    """

    id: str
    level: str
    format: str
    config: dict[str, Any]
    tensors: dict[str, Array]
    flags: frozenset[str]
    dtype: str | None = None
    expected: Array | None = None
    code: str = ""
    readings: tuple[Array, ...] = ()
    source: Source | None = None
    comment: str = ""

    def answer(self, oracle: Any) -> Array:
        """The weight due."""
        if self.expected is not None:
            return self.expected
        return asked_of(oracle, self.config, self.tensors, self.dtype)

    def changed(self, **changes: Any) -> Question:
        """Another one, which differs in some fields."""
        return Question(**{field.name: getattr(self, field.name) for field in fields(Question)} | changes)

    def judge(self, subject: Any, oracle: Any) -> Verdict:
        outcome = decode(subject, self.config, self.tensors, self.dtype)
        if not self.code:
            due = self.answer(oracle)
            return with_steps(compared(outcome, due), outcome, due, self.config, self.tensors)
        if isinstance(outcome, Refused) or not any(not compared(outcome, r).complaint for r in self.readings):
            return declined(outcome, self.code)
        return Verdict()


class Later(Question):
    """A question whose module is made when it is first looked at: most runs ask a part of the suite."""

    def __init__(
        self,
        id: str,
        level: str,
        format: str,
        dtype: str | None,
        make: Callable[[], dict[str, Any]],
        comment: str = "",
    ) -> None:
        """``make`` gives the fields below, ``expected`` as a function: flags are asked of many more than are judged."""
        # Its class is frozen.
        vars(self).update(id=id, level=level, format=format, dtype=dtype, comment=comment, _make=make)

    @cached_property
    def _made(self) -> dict[str, Any]:
        found: dict[str, Any] = vars(self)["_make"]()
        return found

    config = cached_property(lambda self: self._made["config"])
    tensors = cached_property(lambda self: self._made["tensors"])
    flags = cached_property(lambda self: self._made["flags"])
    expected = cached_property(lambda self: self._made["expected"]())
    source = cached_property(lambda self: self._made["source"])


def with_steps(
    verdict: Verdict, outcome: Any, expected: Array, config: Mapping[str, Any], tensors: Mapping[str, Array]
) -> Verdict:
    """A complaint about bits, and how many quantisation steps it is about."""
    if verdict.manner != "bits" or outcome.shape != expected.shape or outcome.dtype not in FLOATS:
        return verdict
    return replace(verdict, steps=steps(outcome, expected, parts(config, tensors)))


def flags_of(config: Mapping[str, Any], tensors: Mapping[str, Array], dtype: str | None = None) -> frozenset[str]:
    """What anybody can see of a sound module."""
    config = written(config)
    format = known(config)
    flags = {format.SLUG} | spoken(config) | format.flags(config, tensors)
    if dtype is not None and dtype != parts(config, tensors).dtype:
        flags.add("out-dtype")
    if "bias" in tensors:
        flags.add("bias")
    return frozenset(flags)
