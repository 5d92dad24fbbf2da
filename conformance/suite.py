"""The suite that any subject is put to: a fixed list of cases with stable ids, the same wherever it is installed.

The project's own tests (``selftest``) ask more: they draw packs at random, enumerate all scales and use every real
checkpoint of the repository. What is asked here is fixed, so that a verdict of today can be held to one of last month.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any

from .bits.array import Array
from .cases.case import Asked, Case
from .cases.question import Later, Question, Source, flags_of
from .corpus import kept
from .corpus.fixtures import Vector, checkpoint, heard_checkpoints, produced_vectors, upstream_digests, vectors
from .formats.dialects import spoken
from .formats.module import Pack, Spelling
from .formats.parts import Integer
from .formats.registry import FORMATS, known, parts
from .levels import affine, arithmetic, layouts, policies, state
from .levels.folders import every
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
    after += _prefixed("checkpoints", every.cases(heard_checkpoints()))
    after += _prefixed("generation", heard())
    return tuple(before), tuple(after)


def _case(question: Question) -> Case:
    return Asked(question.id, question.judge, question.level, "dense", question)


def _prefixed(level: str, found: Iterable[Case]) -> Iterator[Case]:
    return (case.called(f"{level}/{case.id}", level) for case in found)


@cache
def questions() -> tuple[Question, ...]:
    """Every single module of the suite, as plain data."""
    return (*_vectors(), *_policies(), *grid(), *_kept(), *_modules(), *_refusals())


def _vectors() -> Iterator[Question]:
    for vector in vectors():
        if not policies.disputed(vector):
            # Where both of upstream's readers take a module they agree on it (asserted by the project's own tests).
            yield _vector("vectors", vector, frozenset(), _read, _reader)


def _vector(
    level: str,
    vector: Vector,
    flags: frozenset[str],
    expected: Callable[[Vector], Array],
    source: Callable[[Vector], Source],
) -> Question:
    def make() -> dict[str, Any]:
        own = flags_of(vector.config, vector.tensors, vector.dtype) | vector.flags | flags
        return {
            "config": vector.config,
            "tensors": vector.tensors,
            "flags": own,
            "expected": partial(expected, vector),
            "source": source(vector),
        }

    return Later(f"{level}/{vector.id}", level, vector.format.SLUG, vector.dtype, make, vector.comment)


def _read(vector: Vector) -> Array:
    """What its first reader makes of it."""
    return next(iter(vector.expected.values()))


def _reader(vector: Vector) -> Source:
    return Source.reader(vector.producer)


def _decided(vector: Vector) -> Source:
    if "packed" in vector.expected:
        return Source("the numbers that were packed, RN(s * (q - z)), which the producer does not read again")
    return Source.reader(vector.producer, "qlinear_cuda_old, or its qlinear_cuda but for the disputed fields")


def _policies() -> Iterator[Question]:
    policy = frozenset({"policy"})
    zero = policy | {"zero-point-0"}
    for vector in filter(policies.disputed, vectors()):
        yield _vector("policies", vector, zero, policies.expected, _decided)
    for vector in produced_vectors():
        yield _vector("policies", vector, zero if "borrowed-zeros" in vector.flags else policy, _read, _reader)
    for slug, pair in policies.pairs():
        yield Later(f"policies/{pair.id}", "policies", slug, None, partial(_pair, pair))


def _pair(pair: Spelling) -> dict[str, Any]:
    return {
        "config": pair.config,
        "tensors": pair.tensors,
        "flags": flags_of(pair.config, pair.tensors) | {"policy", f"policy-{pair.policy}"},
        "expected": lambda: parts(pair.plain_config, pair.plain).dense(None),
        "source": Source("the contract, for the same module in its plain spelling"),
    }


def _kept() -> Iterator[Question]:
    for mutant, pack in kept.kept():
        comment = f"The smallest generated module on which mutant {mutant} was caught."
        slug = known(pack.config).SLUG
        yield Later(f"synthetic/kept-{mutant}", "synthetic", slug, pack.dtype, partial(_pack, pack), comment)


def _pack(pack: Pack) -> dict[str, Any]:
    format, found = known(pack.config), parts(pack.config, pack.tensors)
    zero = isinstance(found, Integer) and (found.z == 0).any() and format.LAYOUT.wraps(found.bits)
    return {
        "config": pack.config,
        "tensors": pack.tensors,
        "flags": flags_of(pack.config, pack.tensors, pack.dtype) | {"kept"} | ({"zero-point-0"} if zero else set()),
        "expected": partial(found.dense, pack.dtype),
        "source": Source("the contract: RN(s * (q - z))"),
    }


def _modules() -> Iterator[Question]:
    for name in heard_checkpoints():
        found = checkpoint(name)
        for module in found.packed:
            make = partial(_module, name, module)
            yield Later(f"modules/{name}/{module}", "modules", found.format_of(module).SLUG, None, make)


def _module(name: str, module: str) -> dict[str, Any]:
    config, tensors = checkpoint(name).config_of(module), checkpoint(name).modules[module]

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
    without = {format.SLUG for format in FORMATS.values() if "affine" in format.NOT_APPLICABLE}
    for question in asked:
        if question.dtype is None and question.format not in without:
            name = question.id.partition("/")[2]
            id = f"affine/{'refuses-' if question.code else ''}{name}"
            yield Asked(id, partial(affine.judge, question), "affine", "affine", question)
