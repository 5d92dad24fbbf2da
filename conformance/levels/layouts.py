"""Layouts by proof: inputs whose every bit is identifiable, so that passing fixes where each output is read from.

A stored bit has an address, the number of its word times the width of a word plus its place. Pass ``k`` stores in every
bit bit ``k`` of its own address, and a second pass the complement. What an output bit reads over all passes is the
address of the bit it is a copy of, and a constant reads an impossible address. Expected addresses come from the
sentence that defines the format, in its room, and from nothing that packs or unpacks. Why passing is a proof, and of
what: docs/levels.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.difference import difference
from ..cases.case import Case, Listed
from ..cases.question import flags_of
from ..cases.verdict import Manner, Verdict
from ..formats.layout import Layout
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


class _Declined(Exception):
    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


@lru_cache(maxsize=8)
def _constant(make: Callable[..., Any], shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Each pass asks for the same one again; ``make`` is a format's ``constant``."""
    found: tuple[dict[str, Any], dict[str, Array]] = make(shape, code, zero)
    return found


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
    def layout(self) -> Layout:
        return self.format.LAYOUT

    @property
    def one(self) -> tuple[int, int]:
        """A code and a zero point, about whose storage nobody disagrees, that make 1."""
        return self.layout.one(self.shape.bits)

    def weights(self, code: int, zero: int, replaced: dict[str, Array]) -> np.ndarray:
        """The dense weight."""
        shape, (settings, tensors) = self.shape, _constant(self.format.constant, self.shape, code, zero)
        outcome = decode(self.subject, settings, tensors | replaced)
        if not isinstance(outcome, Array):
            manner: Manner = "refused" if isinstance(outcome, Refused) else "crashed"
            raise _Declined(Verdict(f"{manner}: {outcome.error!r}", manner))
        if outcome.shape != shape.dense:
            raise _Declined(Verdict(f"shape {outcome.shape}, expected {shape.dense}", "bits"))
        return outcome.float64().reshape(shape.out, shape.in_features)

    def values(self, code: int, zero: int, replaced: dict[str, Array]) -> np.ndarray:
        """The dense weight as whole numbers."""
        values = self.weights(code, zero, replaced)
        if not (values == np.rint(values)).all():
            raise _Declined(Verdict("a weight is no whole number, though every scale is a power of two", "bits"))
        return values.astype(np.int64)

    def stored(self, name: str) -> Array:
        return _constant(self.format.constant, self.shape, *self.one)[1][name]

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


def _words(bits: np.ndarray, like: Array) -> Array:
    packed = np.packbits(bits.astype(np.uint8), bitorder="little").view(like.bits.dtype.newbyteorder("<"))
    return Array(like.dtype, packed.reshape(like.shape).astype(like.bits.dtype))


def _count(stored: Array) -> int:
    """Bits of a tensor."""
    return stored.bits.size * stored.bits.itemsize * 8


def _codes(probe: _Probe, zero: int) -> tuple[np.ndarray, np.ndarray]:
    layout, bits_a_code = probe.layout, probe.shape.bits
    stored = probe.stored(layout.codes)

    def read(bits: np.ndarray) -> np.ndarray:
        weights = probe.weights(0, zero, {layout.codes: _words(bits, stored)})
        codes = layout.read_codes(weights, zero, bits_a_code)
        return probe.bits_of(np.where(codes < 0, -1, layout.stored_code(np.maximum(codes, 0), bits_a_code)))

    return _addresses(_count(stored), read), layout.code_places(probe.shape)


def _zeros(probe: _Probe, code: int) -> tuple[np.ndarray, np.ndarray]:
    layout = probe.layout
    assert layout.zeros is not None
    assert layout.zero_places is not None
    name, stored = layout.zeros, probe.stored(layout.zeros)
    # What is stored for a zero point is a bijection on fields, done here before bits are looked at. Whether the field
    # that stands for 0 means 2**bits is a matter of policy, not of layout.
    limit = probe.limit

    def read(bits: np.ndarray) -> np.ndarray:
        zeros = code - probe.values(code, probe.one[1], {name: _words(bits, stored)})
        wrapped = np.where(zeros == limit, 0, zeros) if layout.wraps(probe.shape.bits) else zeros
        inside = (wrapped >= 0) & (wrapped < limit)
        return probe.bits_of(np.where(inside, layout.stored_zero(wrapped, probe.shape.bits), -1))

    return _addresses(_count(stored), read), layout.zero_places(probe.shape)


def _scales(probe: _Probe) -> tuple[np.ndarray, np.ndarray]:
    layout = probe.layout
    stored = probe.stored(layout.scales)

    def read(bits: np.ndarray) -> np.ndarray:
        return probe.values(*probe.one, {layout.scales: layout.scales_of(bits, stored)}) - 1

    return _addresses(stored.bits.size, read), layout.scale_places(probe.shape)


def _offsets(probe: _Probe) -> tuple[np.ndarray, np.ndarray]:
    """Of codes that are 0, so that a weight is its offset, or the negative of its zero point."""
    layout, given = probe.layout, _constant(probe.format.constant, probe.shape, *probe.one)[1]
    sign = -1 if layout.subtracted else 1
    name = next(name for name in layout.offsets if name in given)
    stored = given[name]

    def read(bits: np.ndarray) -> np.ndarray:
        return sign * probe.values(0, probe.one[1], {name: layout.scales_of(bits, stored)}) - 1

    return _addresses(stored.bits.size, read), layout.scale_places(probe.shape)


def _of_groups(probe: _Probe, chosen: Callable[[np.ndarray], np.ndarray]) -> Array:
    """Scales of 2 in the groups that are chosen, and of 1 in the others."""
    layout, shape = probe.layout, probe.shape
    stored = probe.stored(layout.scales)
    bits = np.zeros(stored.bits.size, np.int64)
    places = layout.group_scales(shape)
    bits[places] = chosen(np.broadcast_to(np.arange(shape.groups), places.shape))
    return layout.scales_of(bits, stored)


def _channels(probe: _Probe) -> tuple[np.ndarray, np.ndarray]:
    """Which element of the map decides the group of each column; groups 0 and 1 have scales 1 and 2."""
    shape, layout = probe.shape, probe.layout
    assert layout.map is not None
    name, scales = layout.map, _of_groups(probe, lambda group: group == 1)

    def read(bits: np.ndarray) -> np.ndarray:
        given = {name: Array.of(bits.astype(np.int32)), layout.scales: scales}
        return probe.values(*probe.one, given) - 1

    own = np.broadcast_to(np.arange(shape.in_features), (shape.out, shape.in_features))
    return _addresses(shape.in_features, read), own


def _rows(probe: _Probe) -> tuple[np.ndarray, np.ndarray]:
    """Which group each value of the map means: all columns in one, and each bit of the number of a group in turn."""
    shape, layout = probe.shape, probe.layout
    assert layout.map is not None
    numbered = [
        _of_groups(probe, lambda group, k=k: (group >> k) & 1)  # type: ignore[misc]
        for k in range(max(1, (shape.groups - 1).bit_length()))
    ]
    found = []
    for group in range(shape.groups):
        g_idx = Array.of(np.full(shape.in_features, group, np.int32))
        passes = [probe.values(*probe.one, {layout.scales: scales, layout.map: g_idx}) - 1 for scales in numbered]
        found.append(sum((bit << k for k, bit in enumerate(passes)), np.zeros_like(passes[0])))
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
    every = small()
    last = {(s.label, s.out, s.in_features, s.group_size): s for _, s in every if s.map in ("act-order", "absent")}
    chosen = set(last.values())
    return tuple((format, s) for format, s in every if s.map == "absent" or s in chosen)


@cache
def _stored_zeros(layout: Layout, bits: int) -> list[int]:
    """How each zero point is stored."""
    return [int(layout.stored_zero(np.array(zero), bits)) for zero in range(1 << bits)]


def proofs(chosen: Iterable[tuple[Format, Shape]] | None = None) -> Iterator[Case]:
    """One case a shape and a kind of field; every shape if none are ``chosen``."""
    for format, shape in shapes() if chosen is None else chosen:
        layout, top = format.LAYOUT, (1 << shape.bits) - 1
        one = layout.one(shape.bits)
        kinds: dict[str, Kind] = {"codes": partial(_codes, zero=one[1])}
        if layout.zeros is not None and layout.zeros in format.constant(shape, *one)[1]:
            # Zero points whose words are all 0 are still zero points.
            fields = _stored_zeros(layout, shape.bits)
            kinds |= {
                "codes-at-zero-words": partial(_codes, zero=fields.index(0)),
                "zeros": partial(_zeros, code=0),
                f"zeros-at-code-{top}": partial(_zeros, code=top),
            }
        kinds["scales"] = _scales
        if layout.offsets:
            kinds["offsets"] = _offsets
        if not shape.ordered:
            kinds["g_idx-rows"] = _rows
            if shape.groups > 1:
                kinds["g_idx-channels"] = _channels
        flags = cache(partial(_flags, format, shape))
        for kind, probe in kinds.items():
            judge = partial(partial, _judge, probe, format, shape)
            yield Listed(f"{shape.id}-{kind}", format.SLUG, "layouts", "dense", judge, flags)


def _flags(format: Format, shape: Shape) -> frozenset[str]:
    flags = flags_of(*format.constant(shape, *format.LAYOUT.one(shape.bits)))
    return flags | {"zero-point-0"} if format.LAYOUT.wraps(shape.bits) else flags
