"""The suite that any subject is put to: a fixed list of cases with stable ids, the same wherever it is installed.

The project's own tests (``selftest``) ask more: they draw packs at random, enumerate all scales and use every real
checkpoint of the repository. What is asked here is fixed, so that a verdict of today can be held to one of last month.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import Any

from .cases.case import Case
from .cases.question import Question, flags_of
from .corpus import kept as examples
from .corpus.fixtures import PRODUCER_FILES, checkpoint, upstream_digests, vectors
from .formats.registry import parts
from .levels import affine, arithmetic, layouts, policies
from .levels.folders import every as folder_cases
from .levels.folders import judge as folders
from .levels.generation import HEARD, heard
from .levels.grid import grid
from .levels.refusals import refusals

TITLES = {
    "vectors": "upstream vectors",
    "policies": "written policies",
    "synthetic": "every option",
    "modules": "real checkpoints",
    "arithmetic": "arithmetic",
    "layouts": "layouts, proven",
    "refusals": "refusals",
    "affine": "affine triples",
    "checkpoints": "checkpoint folders",
    "generation": "recitation",
}
# Cases a level and a claim. Fewer mean that something of the suite is missing, and fail a run.
FLOORS = {
    ("vectors", "dense"): 49,
    ("policies", "dense"): 22,
    ("synthetic", "dense"): 228,
    ("modules", "dense"): 56,
    ("arithmetic", "dense"): 28,
    ("layouts", "dense"): 96,
    ("refusals", "dense"): 92,
    ("affine", "affine"): 433,
    ("checkpoints", "checkpoint"): 74,
    ("generation", "logits"): 4,
}


@cache
def cases(exhaustive: bool = False) -> tuple[Case, ...]:
    """Every case of every level; ``exhaustive`` adds the enumeration of all 16-bit scales."""
    asked = questions()
    found = [Case(q.id, q.judge, q.level, "dense", q.flags, bool(q.code), q) for q in asked if q.level != "refusals"]
    found += _arithmetic(exhaustive)
    found += _layouts()
    found += [Case(q.id, q.judge, q.level, "dense", q.flags, True, q) for q in asked if q.level == "refusals"]
    found += _affine(asked)
    found += _checkpoints()
    return tuple(found)


@cache
def questions() -> tuple[Question, ...]:
    """Every single module of the suite, as plain data."""
    return (*_vectors(), *_policies(), *grid(), *_kept(), *_modules(), *_refusals())


def _vectors() -> Iterator[Question]:
    for vector in vectors():
        if policies.disputed(vector):
            continue
        flags = flags_of(vector.config, vector.tensors) | vector.flags
        # Where both of upstream's readers take a module they agree on it (asserted by the project's own tests).
        expected = next(iter(vector.expected.values()))
        yield Question(
            f"vectors/{vector.id}",
            "vectors",
            vector.config,
            vector.tensors,
            flags,
            expected=expected,
            source=f"{vector.producer}'s own reader",
            comment=vector.comment,
        )


def _policies() -> Iterator[Question]:
    policy = frozenset({"policy"})
    for vector in filter(policies.disputed, vectors()):
        yield Question(
            f"policies/{vector.id}",
            "policies",
            vector.config,
            vector.tensors,
            flags_of(vector.config, vector.tensors) | vector.flags | policy | {"zero-point-0"},
            expected=policies.expected(vector),
            source=f"{vector.producer}'s qlinear_cuda_old, or its qlinear_cuda but for the disputed fields",
            comment=vector.comment,
        )
    for vector in vectors(PRODUCER_FILES):
        borrowed = {"zero-point-0"} if "borrowed-zeros" in vector.flags else set()
        yield Question(
            f"policies/{vector.id}",
            "policies",
            vector.config,
            vector.tensors,
            flags_of(vector.config, vector.tensors) | vector.flags | policy | borrowed,
            expected=vector.expected["torch"],
            source=f"{vector.producer}'s own reader",
            comment=vector.comment,
        )
    for id, config, tensors, plain_config, plain in policies.metamorphic_pairs():
        yield Question(
            f"policies/{id}",
            "policies",
            config,
            tensors,
            flags_of(config, tensors) | policy | {f"policy-{id}"},
            expected=parts(plain_config, plain).dense(None),
            source="the contract, for the same module in its plain spelling",
        )


def _kept() -> Iterator[Question]:
    for mutant, pack in examples.kept():
        flags = flags_of(pack.config, pack.tensors, pack.dtype) | {"kept"}
        if (parts(pack.config, pack.tensors).z == 0).any() and "gptq" in flags:
            flags |= {"zero-point-0"}
        yield Question(
            f"synthetic/kept-{mutant}",
            "synthetic",
            pack.config,
            pack.tensors,
            flags,
            pack.dtype,
            parts(pack.config, pack.tensors).dense(pack.dtype),
            source="the contract: RN(s * (q - z))",
            comment=f"The smallest generated module on which mutant {mutant} was caught.",
        )


def _modules() -> Iterator[Question]:
    for name in HEARD:
        found = checkpoint(name)
        for module, tensors in found.modules.items():
            config = found.quantization_config
            expected = parts(config, tensors).dense(None)
            facts = {"shape": list(expected.shape), "dtype": expected.dtype, "sha256": expected.sha256()}
            if facts != upstream_digests()[name][module]:
                raise RuntimeError(f"{name} {module} is not what upstream decoded: the files are damaged")
            yield Question(
                f"modules/{name}/{module}",
                "modules",
                config,
                tensors,
                flags_of(config, tensors) | {"real"},
                expected=expected,
                source="the contract, equal in SHA-256 to upstream's own decode",
            )


def _refusals() -> Iterator[Question]:
    for refusal in refusals():
        format = "awq" if "awq" in refusal.id else "gptq"
        yield Question(
            f"refusals/{refusal.id}",
            "refusals",
            refusal.config,
            refusal.tensors,
            frozenset({format}),
            code=refusal.code,
            readings=refusal.readings,
        )


def _arithmetic(exhaustive: bool) -> Iterator[Case]:
    for case in (*arithmetic.samples(), *(arithmetic.enumeration() if exhaustive else ())):
        format, scales, output = case.id.removeprefix("corners-").replace("-to", "").split("-", 2)
        flags = {format, "asymmetric", "group-size-32", f"scales-{scales}"}
        if format == "gptq":
            flags |= {"no-g_idx", "zero-point-0"}
        if output not in ("its-own", scales):
            flags.add("out-dtype")
        yield Case(f"arithmetic/{case.id}", case.judge, "arithmetic", flags=frozenset(flags))
    for case in arithmetic.non_finite():
        format = case.id.partition("-")[0]
        yield Case(f"arithmetic/{case.id}", case.judge, "arithmetic", flags=frozenset({format}), declined=True)


def _layouts() -> Iterator[Case]:
    for shape in layouts.few():
        flags = {shape.format, "scales-float16", "asymmetric"}
        flags.add(f"group-size-{shape.group_size}" if shape.group_size in (-1, 32, 64, 128) else "group-size-other")
        if shape.format == "gptq":
            flags |= {"no-g_idx" if shape.map == "absent" else shape.map, "zero-point-0"}
        if shape.in_features % 32 or shape.out % 32:
            flags.add("odd-width")
        if shape.in_features % 8 or (shape.group_size > 0 and shape.in_features % shape.group_size):
            flags.add("ragged")
        for case in layouts.proofs((shape,)):
            yield Case(f"layouts/{case.id}", case.judge, "layouts", flags=frozenset(flags))


def _affine(asked: Iterable[Question]) -> Iterator[Case]:
    for question in asked:
        if question.dtype is None:
            name = question.id.partition("/")[2]
            id = f"affine/{'refuses-' if question.code else ''}{name}"
            judge = partial(affine.judge, question)
            yield Case(id, judge, "affine", "affine", question.flags, bool(question.code), question)


def _checkpoints() -> Iterator[Case]:
    for folder in folder_cases.folders(HEARD):
        format = "awq" if "awq" in folder.id else "gptq"
        yield Case(
            f"checkpoints/{folder.id}",
            partial(folders.judge, folder),
            "checkpoints",
            "checkpoint",
            frozenset({format}) | ({"real"} if folder.id.startswith("real-") else set()),
            folder.code is not None and not folder.either,
        )
    for case in heard():
        flags = flags_of(*_first_module(case.id)) | {"real"}
        yield Case(f"generation/{case.id}", case.judge, "generation", "logits", flags)


def _first_module(name: str) -> tuple[Any, Any]:
    found = checkpoint(name)
    return found.quantization_config, next(iter(found.modules.values()))
