"""The levels of the suite as cases, so that its tests and the mutants' matrix put the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from . import examples, policies
from .arrays import Array
from .cases import Case, Verdict, asked, asked_of, compared, declined
from .contract import FORMATS
from .data import PRODUCER_FILES, TinyCheckpoint, checkpoint, present_checkpoints, upstream_digests, vectors
from .recitation import SMOKE_WINDOWS, complaint, dense_weights, run_model, smoke
from .refusals import Refusal, refusals
from .strategies import Pack, packs
from .subjects import Model, Refused, decode, load, load_weights

# The checkpoints that mutants are heard on: both architectures and formats, small enough to recite in a second.
HEARD = ("llama-awq-g32", "qwen2-gptq-g128-act-sym", "llama-gptq-g128-seq-asym", "qwen2-awq-g128")


def upstream() -> Iterator[Case]:
    """Vectors packed and read by the upstream packages, one case a reader."""
    for vector in vectors():
        if not policies.disputed(vector):
            for reader, expected in sorted(vector.expected.items()):
                yield Case(f"{vector.id}-{reader}", asked(vector.config, vector.tensors, expected))


def disputes() -> Iterator[Case]:
    """Upstream's vectors whose readers disagree."""
    for vector in filter(policies.disputed, vectors()):
        yield Case(vector.id, asked(vector.config, vector.tensors, policies.expected(vector)))


def produced() -> Iterator[Case]:
    """Vectors of other producers, held to what those read themselves."""
    for vector in vectors(PRODUCER_FILES):
        for reader, expected in sorted(vector.expected.items()):
            yield Case(f"{vector.id}-{reader}", asked(vector.config, vector.tensors, expected))


def by_oracle(pack: Pack) -> Callable[[Any, Any], Verdict]:
    """Judges the decode of a module against the oracle's, which is computed once."""

    @cache
    def expected(oracle: Any) -> Array:
        return asked_of(oracle, pack.config, pack.tensors, pack.dtype)

    return lambda subject, oracle: compared(decode(subject, pack.config, pack.tensors, pack.dtype), expected(oracle))


def spellings() -> Iterator[Case]:
    """One module stored in two ways, which must decode alike."""
    for id, config, tensors, plain_config, plain_tensors in policies.metamorphic_pairs():
        plain = by_oracle(Pack(plain_config, plain_tensors, frozenset(), None))
        yield Case(id, partial(_relayed, plain, config, tensors))


def _relayed(plain: Any, config: Any, tensors: Any, subject: Any, oracle: Any) -> Verdict:
    return plain(_Relay(subject, config, tensors), oracle)


class _Relay:
    """A subject that is shown one module, and asked about another."""

    def __init__(self, subject: Any, config: Any, tensors: Any) -> None:
        self.framework, self.refusals = "array", subject.refusals
        self._ask = partial(decode, subject, config, tensors)

    def dequantize(self, config: Any, tensors: Any, *, dtype: str | None = None) -> Array:
        answer = self._ask(dtype)
        if isinstance(answer, Array):
            return answer
        raise answer.error


def unreadable() -> Iterator[Case]:
    """Inputs with one thing wrong."""
    for refusal in refusals():
        yield Case(refusal.id, partial(_declined, refusal))


def _declined(refusal: Refusal, subject: Any, _: Any) -> Verdict:
    return declined(decode(subject, refusal.config, refusal.tensors), refusal.code)


def kept() -> Iterator[Case]:
    """The smallest generated packs that unmasked a mutant, kept so that no run depends on drawing them again."""
    for mutant, pack in examples.kept():
        yield Case(f"kept-{mutant}", by_oracle(pack))


@cache
def drawn(format: str, count: int) -> tuple[Pack, ...]:
    """The first packs of a derandomised run."""
    found: list[Pack] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(packs(format))
    def collect(pack: Pack) -> None:
        found.append(pack)

    collect()
    return tuple(found)


@cache
def generated(count: int) -> tuple[Case, ...]:
    """Drawn packs of every format, the small ones first."""
    found = [(pack, f"{format}-{number}") for format in FORMATS for number, pack in enumerate(drawn(format, count))]
    found.sort(key=lambda item: sum(array.bits.size for array in item[0].tensors.values()))
    return tuple(Case(id, by_oracle(pack)) for pack, id in found)


def modules() -> Iterator[Case]:
    """Every packed module of the real checkpoints against the oracle."""
    for name in present_checkpoints():
        found = checkpoint(name)
        for module, tensors in found.modules.items():
            pack = Pack(found.quantization_config, tensors, frozenset(), None)
            yield Case(f"{name}-{module}", by_oracle(pack))


def digests() -> Iterator[Case]:
    """The same against the digests of upstream's own decode."""
    for name in present_checkpoints():
        found = checkpoint(name)
        for module, tensors in found.modules.items():
            yield Case(f"{name}-{module}", partial(_digest, found.quantization_config, tensors, name, module))


def _digest(config: Any, tensors: dict[str, Array], name: str, module: str, subject: Any, _: Any) -> Verdict:
    got = decode(subject, config, tensors)
    if not isinstance(got, Array):
        manner = "refused" if isinstance(got, Refused) else "crashed"
        return Verdict(f"{manner}: {got.error!r}", "refused" if manner == "refused" else "crashed")
    facts = {"shape": list(got.shape), "dtype": got.dtype, "sha256": got.sha256()}
    if facts != upstream_digests()[name][module]:
        return Verdict(f"{facts}, upstream has {upstream_digests()[name][module]}", "bits", weights=got.bits.size)
    return Verdict(weights=got.bits.size)


def heard() -> Iterator[Case]:
    """Whole models by ear, as a smoke test would: the text first, then perplexity over the start of it."""
    for name in HEARD:
        if name in present_checkpoints():
            yield Case(name, partial(_heard, name))


def _heard(name: str, subject: Any, oracle: Any) -> Verdict:
    found = checkpoint(name)
    try:
        if hasattr(subject, "load") and isinstance(loaded := load(subject, found.folder), Model):
            return _by_ear(found, complaint(oracle, name, run_model(loaded), SMOKE_WINDOWS))
        weights = dense_weights(subject, oracle, found)
    except subject.refusals as error:
        return Verdict(f"refused: {error!r}", "refused")
    except (Exception, SystemExit) as error:  # whatever a loader does, the matrix goes on
        return Verdict(f"crashed: {error!r}", "crashed")
    sound = _sound_weights(oracle, name)
    if weights.keys() == sound.keys() and all(_same(weights[key], sound[key]) for key in sound):
        return _by_ear(found, "")
    return _by_ear(found, smoke(oracle, name, weights))


def _by_ear(found: TinyCheckpoint, complaint: str) -> Verdict:
    return Verdict(complaint, "heard" if complaint else "", modules=len(found.modules))


@cache
def _sound_weights(oracle: Any, name: str) -> dict[str, Array]:
    return load_weights(oracle, checkpoint(name).folder)


def _same(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and np.array_equal(one.bits, other.bits)
