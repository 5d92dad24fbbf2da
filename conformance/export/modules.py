"""Tests of single modules: a JSON document a level and format, and a file of the tensors beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .. import SUITE_VERSION
from ..bits.array import Array
from ..cases.question import Question, Source
from ..levels import arithmetic
from ..levels.grid import CONTRACT
from ..suite import questions
from .notes import code_note, flag_note

GENERATOR = "mlx-quant-conformance"
# Levels that are made of shapes and a seed, and too large to be stored for what they are.
GENERATED = ("sizes",)
# Weights that upstream gives, or a policy, are stored bit by bit, and others up to this many bytes; of the rest there
# is the digest, which proves as much and says less of what is wrong.
DISPUTED = ("vectors", "policies")
LARGEST = 1 << 15


@dataclass
class Group:
    """The tests of one level and format, in the order of the suite."""

    level: str
    format: str
    questions: list[Question] = field(default_factory=list)

    @property
    def stem(self) -> str:
        return f"{self.format}_{self.level}"


def groups() -> list[Group]:
    """All of them; the ids are those of the suite's cases."""
    found: dict[tuple[str, str], Group] = {}
    for question in (*questions(), *corners()):
        if question.level in GENERATED:
            continue
        group = found.setdefault((question.level, question.format), Group(question.level, question.format))
        group.questions.append(question)
    return list(found.values())


def generated() -> dict[str, int]:
    """How many tests the levels have that are left out."""
    return dict(Counter(question.level for question in questions() if question.level in GENERATED))


def corners() -> Iterator[Question]:
    """The cases of the level *arithmetic* that ask for the scales' own dtype: one matrix each."""
    for format, domain in arithmetic.domains():
        for dtype in domain.sampled:
            scales = arithmetic.aligned(domain.corners(dtype))
            yield Question(
                f"arithmetic/corners-{domain.label}-{dtype}-to-its-own",
                "arithmetic",
                format.SLUG,
                domain.config(),
                domain.pack(dtype, scales),
                arithmetic.flags(domain, dtype, None),
                expected=domain.expected(dtype, scales, None),
                source=CONTRACT,
                comment="Scales from end to end of the range, each with every code and every zero point.",
            )


def tests(group: Group) -> tuple[dict[str, Any], dict[str, Array]]:
    """The JSON document, and the tensors that its keys name."""
    store = _Store()
    found = [_test(question, store) for question in group.questions]
    codes = {question.code for question in group.questions if question.code}
    document = {
        "schema": "schema/tests.schema.json",
        "suite": SUITE_VERSION,
        "format": group.format,
        "level": group.level,
        "tensors": f"{group.stem}.safetensors",
        "numberOfTests": len(found),
        "notes": notes(found, group.format),
        "codes": {code: code_note(code).as_json() for code in sorted(codes)},
        "tests": found,
    }
    # The widest elements first, as safetensors itself sorts them: then every tensor is aligned.
    return document, dict(sorted(store.tensors.items(), key=lambda item: -item[1].bits.itemsize))


def notes(found: Iterable[dict[str, Any]], slug: str = "") -> dict[str, Any]:
    flags = {flag for test in found for flag in test["flags"]}
    return {flag: flag_note(flag, slug).as_json() for flag in sorted(flags)}


class _Store:
    """The tensors of one file; those with the same bits are one, under the key of whoever had them first."""

    def __init__(self) -> None:
        self.tensors: dict[str, Array] = {}
        self._keys: dict[tuple[str, tuple[int, ...], str], str] = {}

    def put(self, key: str, array: Array) -> str:
        first = self._keys.setdefault((array.dtype, tuple(array.shape), array.sha256()), key)
        self.tensors.setdefault(first, array)
        return first


def _test(question: Question, store: _Store) -> dict[str, Any]:
    def stored(name: str, array: Array) -> dict[str, Any]:
        key = store.put(f"{question.id}/{name}", array)
        return {"key": key, "dtype": array.dtype, "shape": list(array.shape)}

    # Sorted: what the tensors were read from may list them in any order.
    inputs = {name: stored(name, array) for name, array in sorted(question.tensors.items())}
    test: dict[str, Any] = {
        "id": question.id,
        "comment": question.comment,
        "flags": sorted(question.flags),
        "config": question.config,
        "dtype": question.dtype,
        "inputs": inputs,
    }
    if question.code:
        readings = [
            stored(f"reading.{number}", array) | {"sha256": array.sha256()}
            for number, array in enumerate(question.readings)
        ]
        meaning = code_note(question.code).text
        test |= {"result": "refused", "refusal": {"code": question.code, "meaning": meaning, "readings": readings}}
    else:
        if (weight := question.expected) is None:
            raise RuntimeError(f"{question.id} leaves its answer to an oracle, which an export has none of")
        facts: dict[str, Any] = {"dtype": weight.dtype, "shape": list(weight.shape)}
        if question.level in DISPUTED or weight.bits.nbytes <= LARGEST:
            facts = stored("expected.weight", weight)
        test |= {"result": "valid", "expected": facts | {"sha256": weight.sha256()}}
    return test | {"source": source(question.source)}


def source(found: Source | None) -> dict[str, str]:
    """The upstream package that says so, with its version, or this suite."""
    found = found or Source("the formats and the policies: a sound module with one thing wrong")
    name, version = (found.package, found.version) if found.package else (GENERATOR, SUITE_VERSION)
    return {"name": name, "version": version, "statement": found.statement}
