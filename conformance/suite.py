"""The suite that any subject is put to: a fixed list of cases with stable ids, the same wherever it is installed.

The project's own tests (``selftest``) ask more: they draw packs at random, enumerate all scales and use every real
checkpoint of the repository. What is asked here is fixed, so that a verdict of today can be held to one of last month.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

from .bits.array import Array
from .cases.case import Asked, Case, tier_of
from .cases.question import Later, Question, Source, flags_of
from .cases.tiers import UNSOUND
from .corpus import kept
from .corpus.fixtures import Vector, checkpoint, heard_checkpoints, produced_vectors, upstream_digests, vectors
from .formats.dialects import spoken
from .formats.parts import Integer
from .formats.registry import FORMATS, known, parts
from .levels import affine, arithmetic, layouts, policies, state
from .levels.folders import every, judge
from .levels.generation import heard
from .levels.grid import grid
from .levels.refusals import refusals


def cases(exhaustive: bool = False) -> tuple[Case, ...]:
    """Every case of every level; ``exhaustive`` adds the enumeration of all 16-bit scales."""
    before, after = _fixed()
    return (*before, *_enumerated(), *after) if exhaustive else _plain()


@cache
def _plain() -> tuple[Case, ...]:
    before, after = _fixed()
    return before + after


@cache
def _enumerated() -> tuple[Case, ...]:
    return tuple(_prefixed("arithmetic", arithmetic.enumeration()))


@cache
def _fixed() -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Those before the enumeration, and those behind it."""
    asked = questions()
    before = [_case(question) for question in asked if question.level != "refusals"]
    before += _prefixed("arithmetic", arithmetic.samples())
    after = [*_prefixed("arithmetic", arithmetic.non_finite())]
    after += _prefixed("layouts", layouts.proofs(layouts.few()))
    after += _prefixed("state", state.state())
    after += [_case(question) for question in asked if question.level == "refusals"]
    after += _affine(asked)
    after += _checkpoints()
    return tuple(before), tuple(after)


def _case(question: Question) -> Case:
    return Asked(question.id, question.judge, question.level, "dense", question)


def _prefixed(level: str, found: Iterable[Case]) -> Iterator[Case]:
    return (_tiered(replace(case, id=f"{level}/{case.id}", level=level)) for case in found)


def _tiered(case: Case) -> Case:
    return case if case.tier else replace(case, tier=tier_of(case))


@cache
def questions() -> tuple[Question, ...]:
    """Every single module of the suite, as plain data."""
    return (*_vectors(), *_policies(), *grid(), *_kept(), *_modules(), *_refusals())


def _vectors() -> Iterator[Question]:
    for vector in vectors():
        if not policies.disputed(vector):
            # Where both of upstream's readers take a module they agree on it (asserted by the project's own tests).
            expected = next(iter(vector.expected.values()))
            yield _vector("vectors", vector, frozenset(), expected, Source.reader(vector.producer))


def _vector(level: str, vector: Vector, flags: frozenset[str], expected: Array, source: Source) -> Question:
    return Question(
        f"{level}/{vector.id}",
        level,
        vector.format.SLUG,
        vector.config,
        vector.tensors,
        flags_of(vector.config, vector.tensors, vector.dtype) | vector.flags | flags,
        dtype=vector.dtype,
        expected=expected,
        source=source,
        comment=vector.comment,
    )


def _policies() -> Iterator[Question]:
    policy = frozenset({"policy"})
    for vector in filter(policies.disputed, vectors()):
        source = Source.reader(vector.producer, "qlinear_cuda_old, or its qlinear_cuda but for the disputed fields")
        if "packed" in vector.expected:
            source = Source("the numbers that were packed, RN(s * (q - z)), which the producer does not read again")
        yield _vector("policies", vector, policy | {"zero-point-0"}, policies.expected(vector), source)
    for vector in produced_vectors():
        zero = policy | {"zero-point-0"} if "borrowed-zeros" in vector.flags else policy
        expected = next(iter(vector.expected.values()))
        yield _vector("policies", vector, zero, expected, Source.reader(vector.producer))
    for slug, pair in policies.pairs():
        yield Question(
            f"policies/{pair.id}",
            "policies",
            slug,
            pair.config,
            pair.tensors,
            flags_of(pair.config, pair.tensors) | policy | {f"policy-{pair.policy}"},
            expected=parts(pair.plain_config, pair.plain).dense(None),
            source=Source("the contract, for the same module in its plain spelling"),
        )


def _kept() -> Iterator[Question]:
    for mutant, pack in kept.kept():
        format, found = known(pack.config), parts(pack.config, pack.tensors)
        zero = isinstance(found, Integer) and (found.z == 0).any() and format.LAYOUT.wraps(found.bits)
        yield Question(
            f"synthetic/kept-{mutant}",
            "synthetic",
            format.SLUG,
            pack.config,
            pack.tensors,
            flags_of(pack.config, pack.tensors, pack.dtype) | {"kept"} | ({"zero-point-0"} if zero else set()),
            pack.dtype,
            found.dense(pack.dtype),
            source=Source("the contract: RN(s * (q - z))"),
            comment=f"The smallest generated module on which mutant {mutant} was caught.",
        )


def _modules() -> Iterator[Question]:
    for name in heard_checkpoints():
        found = checkpoint(name)
        for module, tensors in found.modules.items():
            make = partial(_module, name, module, tensors)
            yield Later(f"modules/{name}/{module}", "modules", found.format_of(module).SLUG, None, make)


def _module(name: str, module: str, tensors: dict[str, Array]) -> dict[str, Any]:
    config = checkpoint(name).config_of(module)

    def expected() -> Array:
        weight = parts(config, tensors).dense(None)
        facts = {"shape": list(weight.shape), "dtype": weight.dtype, "sha256": weight.sha256()}
        if facts != upstream_digests()[name][module]:
            raise RuntimeError(f"{name} {module} is not what upstream decoded: the files are damaged")
        return weight

    return {
        "config": config,
        "tensors": tensors,
        "flags": flags_of(config, tensors) | {"real"},
        "expected": expected,
        "source": Source("the contract, equal in SHA-256 to upstream's own decode"),
    }


def _refusals() -> Iterator[Question]:
    for slug, refusal in refusals():
        yield Question(
            f"refusals/{refusal.id}",
            "refusals",
            slug,
            refusal.config,
            refusal.tensors,
            refusal.flags | spoken(refusal.config) | {slug},
            code=refusal.code,
            readings=refusal.readings,
        )


def _affine(asked: Iterable[Question]) -> Iterator[Case]:
    for question in asked:
        applies = not any(question.format == f.SLUG and "affine" in f.NOT_APPLICABLE for f in FORMATS.values())
        if question.dtype is None and applies:
            name = question.id.partition("/")[2]
            id = f"affine/{'refuses-' if question.code else ''}{name}"
            yield Asked(id, partial(affine.judge, question), "affine", "affine", question)


def _checkpoints() -> Iterator[Case]:
    for folder in every.folders(heard_checkpoints()):
        own = {folder.format, *folder.flags}.union(*map(spoken, folder.settings()))
        if folder.id.startswith("real-"):
            own |= _real_flags(folder.id.removeprefix("real-"))
        yield _tiered(
            Case(
                f"checkpoints/{folder.id}",
                partial(judge.judge, folder),
                folder.format,
                "checkpoints",
                "checkpoint",
                frozenset(own),
                folder.code is not None and not folder.either,
                tier=UNSOUND if folder.code is not None else "",
            )
        )
    for case in heard():
        yield _tiered(replace(case, id=f"generation/{case.id}", level="generation", flags=_real_flags(case.id)))


def _real_flags(name: str) -> frozenset[str]:
    """What a loader must be able to read for a whole model: all that is particular about any of its modules."""
    found = checkpoint(name)
    own = [flags_of(found.config_of(module), tensors) for module, tensors in found.modules.items()]
    dynamic = {"dynamic"} if found.config["quantization_config"].get("dynamic") else set()
    return frozenset({"real"} | dynamic).union(*own)
