"""Layouts by proof: inputs whose every bit is identifiable, so that passing fixes where each output is read from.

A stored bit has an address, the number of its word times 32 plus its place. Pass ``k`` stores in every bit bit ``k`` of
its own address, and a second pass the complement. What an output bit reads over all passes is the address of the bit it
is a copy of, and a constant reads an impossible address. Expected addresses come from the sentence that defines the
format, in its room, and from nothing that packs or unpacks. Why passing is a proof, and of what: docs/levels.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.difference import difference
from ..cases.case import Case
from ..cases.question import flags_of
from ..cases.verdict import Manner, Verdict
from ..formats.module import Shape
from ..formats.protocol import Format
from ..formats.registry import FORMATS
from ..subjects.ask import decode
from ..subjects.subject import Refused, Subject

SMALL = 1300


def shapes() -> Iterator[tuple[Format, Shape]]:
    """Every shape that is proven, with its format."""
    for format in FORMATS.values():
        yield from ((format, shape) for shape in format.SHAPES)


def spec_scale(shape: Shape) -> np.ndarray:
    """Address [out, in] of each weight's scale: element ``o`` of row ``g[i]`` of ``scales``."""
    return shape.group_index()[None, :] * shape.out + np.arange(shape.out)[:, None]


class _Declined(Exception):
    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


@dataclass(frozen=True)
class _Probe:
    """A subject before one shape: modules that are constant but for what a pass replaces."""

    subject: Subject
    format: Format
    shape: Shape

    @property
    def limit(self) -> int:
        return 1 << self.shape.bits

    @property
    def middle(self) -> int:
        """A zero point about whose storage nobody disagrees."""
        return self.limit // 2

    def values(self, code: int, zero: int, replaced: dict[str, Array]) -> np.ndarray:
        """The dense weight as whole numbers."""
        shape, (settings, tensors) = self.shape, self.format.constant(self.shape, code, zero)
        outcome = decode(self.subject, settings, tensors | replaced)
        if not isinstance(outcome, Array):
            manner: Manner = "refused" if isinstance(outcome, Refused) else "crashed"
            raise _Declined(Verdict(f"{manner}: {outcome.error!r}", manner))
        if outcome.shape != (shape.out, shape.in_features):
            raise _Declined(Verdict(f"shape {outcome.shape}, expected {(shape.out, shape.in_features)}", "bits"))
        values = outcome.float64()
        if not (values == np.rint(values)).all():
            raise _Declined(Verdict("a weight is no whole number, though every scale is a power of two", "bits"))
        return values.astype(np.int64)

    def stored(self, name: str) -> tuple[int, ...]:
        return self.format.constant(self.shape, 0, 0)[1][name].shape

    def bits_of(self, fields: np.ndarray) -> np.ndarray:
        """[out, in, bits]; -9 where a number is no field at all."""
        found = (fields[..., None] >> np.arange(self.shape.bits)) & 1
        return np.where(((fields >= 0) & (fields < self.limit))[..., None], found, -9)


def _addresses(count: int, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What ``read`` makes of every bit of the addresses below ``count``, and of its complement, put together again."""
    own = np.arange(count)
    found: Any = 0
    for k in range(max(1, (count - 1).bit_length())):
        bit = (own >> k) & 1
        plain, complement = read(bit), read(1 - bit)
        # A constant, or anything that is not a copy, does not change with the bit that it should copy.
        found = np.where((found < 0) | (plain == complement), -1, found + (plain << k))
    return np.asarray(found)


def _words(bits: np.ndarray, shape: tuple[int, ...]) -> Array:
    packed = np.packbits(bits.astype(np.uint8), bitorder="little").view("<u4").reshape(shape)
    return Array.of(packed.astype(np.uint32).view(np.int32))


def _codes(probe: _Probe, zero: int) -> tuple[np.ndarray, np.ndarray]:
    stored = probe.stored("qweight")

    def read(bits: np.ndarray) -> np.ndarray:
        return probe.bits_of(probe.values(0, zero, {"qweight": _words(bits, stored)}) + zero)

    return _addresses(32 * stored[0] * stored[1], read), probe.format.code_places(probe.shape)


def _zeros(probe: _Probe, code: int) -> tuple[np.ndarray, np.ndarray]:
    stored = probe.stored("qzeros")
    # What is stored for a zero point is a bijection on fields, done here before bits are looked at. Whether the field
    # that stands for 0 means 2**bits is a matter of policy, not of layout.
    limit = probe.limit

    def read(bits: np.ndarray) -> np.ndarray:
        zeros = code - probe.values(code, probe.middle, {"qzeros": _words(bits, stored)})
        wrapped = np.where(zeros == limit, 0, zeros) if _wraps(probe.format, probe.shape) else zeros
        inside = (wrapped >= 0) & (wrapped < limit)
        return probe.bits_of(np.where(inside, probe.format.stored(wrapped, probe.shape.bits), -1))

    return _addresses(32 * stored[0] * stored[1], read), probe.format.zero_places(probe.shape)


def _wraps(format: Format, shape: Shape) -> bool:
    """Whether a zero point of 0 is stored as another field, which upstream's readers may not take back modulo."""
    return int(format.stored(np.array(0), shape.bits)) != 0


def _scales(probe: _Probe) -> tuple[np.ndarray, np.ndarray]:
    stored = probe.stored("scales")

    def read(bits: np.ndarray) -> np.ndarray:
        scales = Array.of((1 + bits).astype(np.float16).reshape(stored))
        return probe.values(probe.middle + 1, probe.middle, {"scales": scales}) - 1

    return _addresses(probe.shape.groups * probe.shape.out, read), spec_scale(probe.shape)


def _channels(probe: _Probe) -> tuple[np.ndarray, np.ndarray]:
    """Which element of ``g_idx`` decides the group of each column; groups 0 and 1 have scales 1 and 2."""
    shape = probe.shape
    scales = np.ones(probe.stored("scales"), np.float16)
    scales[1] = 2

    def read(bits: np.ndarray) -> np.ndarray:
        given = {"g_idx": Array.of(bits.astype(np.int32)), "scales": Array.of(scales)}
        return probe.values(probe.middle + 1, probe.middle, given) - 1

    own = np.broadcast_to(np.arange(shape.in_features), (shape.out, shape.in_features))
    return _addresses(shape.in_features, read), own


def _rows(probe: _Probe) -> tuple[np.ndarray, np.ndarray]:
    """Which row of ``scales`` each value of ``g_idx`` means: one pass a value, all columns in one group."""
    shape = probe.shape
    scales = np.broadcast_to(np.arange(1, shape.groups + 1)[:, None], probe.stored("scales")).astype(np.float16)
    found = []
    for group in range(shape.groups):
        g_idx = np.full(shape.in_features, group, np.int32)
        given = {"scales": Array.of(scales), "g_idx": Array.of(g_idx)}
        found.append(probe.values(probe.middle + 1, probe.middle, given) - 1)
    own = np.broadcast_to(np.arange(shape.groups)[:, None, None], (shape.groups, shape.out, shape.in_features))
    return np.stack(found), own


Kind = Callable[[_Probe], tuple[np.ndarray, np.ndarray]]


def _judge(kind: Kind, format: Format, shape: Shape, subject: Subject, _: Subject) -> Verdict:
    try:
        found, own = kind(_Probe(subject, format, shape))
    except _Declined as declined:
        return declined.verdict
    result = difference(Array.of(found.astype(np.int64)), Array.of(np.broadcast_to(own, found.shape).astype(np.int64)))
    text = f"read from the wrong place: {result.text}" if result else ""
    return Verdict(text, "bits" if result else "", weights=result.total, wrong=result.wrong)


def small() -> tuple[tuple[Format, Shape], ...]:
    """The shapes that are quick to prove for a slow reader, smallest first."""
    found = [(format, shape) for format, shape in shapes() if shape.out * shape.in_features <= SMALL]
    return tuple(sorted(found, key=lambda pair: pair[1].out * pair[1].in_features))


def few() -> tuple[tuple[Format, Shape], ...]:
    """Fewer still, for a hundred mutants: every small shape with one map that is in order and one that is not."""
    last = {(s.label, s.out, s.in_features, s.group_size): s for _, s in small() if s.map in ("act-order", "absent")}
    return tuple((format, s) for format, s in small() if s.map == "absent" or s in last.values())


def proofs(chosen: Iterable[tuple[Format, Shape]] | None = None) -> Iterator[Case]:
    """One case a shape and a kind of field; every shape if none are ``chosen``."""
    for format, shape in shapes() if chosen is None else chosen:
        middle, top = 1 << (shape.bits - 1), (1 << shape.bits) - 1
        # Zero points whose words are all 0 are still zero points.
        unstored = next(zero for zero in (0, 1) if int(format.stored(np.array(zero), shape.bits)) == 0)
        kinds: dict[str, Kind] = {
            "codes": partial(_codes, zero=middle),
            "codes-at-zero-words": partial(_codes, zero=unstored),
            "zeros": partial(_zeros, code=0),
            f"zeros-at-code-{top}": partial(_zeros, code=top),
            "scales": _scales,
        }
        if not shape.ordered:
            kinds["g_idx-rows"] = _rows
            if shape.groups > 1:
                kinds["g_idx-channels"] = _channels
        for kind, probe in kinds.items():
            judge = partial(_judge, probe, format, shape)
            yield Case(f"{shape.id}-{kind}", judge, format.SLUG, "layouts", flags=_flags(format, shape))


def _flags(format: Format, shape: Shape) -> frozenset[str]:
    flags = flags_of(*format.constant(shape, 0, 1))
    return flags | {"zero-point-0"} if _wraps(format, shape) else flags
