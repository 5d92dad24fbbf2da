"""Layouts by proof: inputs whose every bit is identifiable, so that passing fixes where each output is read from.

A stored bit has an address, the number of its word times 32 plus its place. Pass ``k`` stores in every bit bit ``k`` of
its own address, and a second pass the complement. What an output bit reads over all passes is the address of the bit it
is a copy of, and a constant reads an impossible address. Expected addresses come from the sentence that defines the
format, below, and from nothing that packs or unpacks. Why passing is a proof, and of what: docs/levels.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.difference import difference
from ..cases.case import Case
from ..cases.verdict import Verdict
from ..formats.awq_gemm import NIBBLE_OF_COLUMN
from ..formats.registry import config
from ..subjects.ask import decode
from ..subjects.subject import Refused

SMALL = 1300
MAPS = ("absent", "sequential", "act-order", "arbitrary")


@dataclass(frozen=True)
class Shape:
    """One matrix [out, in] in groups, with the way its groups are assigned."""

    format: str
    out: int
    in_features: int
    group_size: int
    map: str = "absent"

    @property
    def id(self) -> str:
        return f"{self.format}-{self.out}x{self.in_features}-g{self.group_size}-{self.map}"

    @property
    def groups(self) -> int:
        return 1 if self.group_size == -1 else -(-self.in_features // self.group_size)

    def group_index(self) -> np.ndarray:
        """The group of every input channel."""
        size = self.in_features if self.group_size == -1 else self.group_size
        consecutive = np.arange(self.in_features) // size
        rng = np.random.default_rng(self.out * 1000 + self.in_features)
        if self.map == "act-order":
            return rng.permutation(consecutive)
        return rng.integers(0, self.groups, self.in_features) if self.map == "arbitrary" else consecutive


_USUAL = (
    *((8, 32, 32), (16, 64, 32), (32, 32, 8), (64, 64, 32), (64, 256, 32)),
    *((16, 128, 32), (32, 128, 32), (24, 96, -1), (8, 40, -1)),
)
SHAPES = (
    # One group, one word; square; out = 8 * groups, so that qzeros is square; wide; tall.
    *(Shape("awq", *numbers) for numbers in ((8, 32, 32), (32, 32, 32), (64, 64, 32), (64, 256, 32), (32, 128, 32))),
    # qweight square; -1, also where it equals one group; in no multiple of 32; a size that is no power of two.
    *(Shape("awq", *numbers) for numbers in ((256, 32, 32), (24, 96, -1), (128, 128, 128), (40, 40, 8), (16, 72, 24))),
    *(Shape("awq", *numbers) for numbers in ((136, 64, 64), (8, 512, 128), (16, 64, 32), (32, 32, 8), (8, 40, -1))),
    *(Shape("gptq", *numbers, map=kind) for kind in MAPS for numbers in _USUAL),
    *(Shape("gptq", *numbers, map="act-order") for numbers in ((128, 128, 64), (40, 40, 8), (136, 64, 16))),
    # A short last group, and inputs that do not fill the last word: only g_idx knows their number.
    *(Shape("gptq", *numbers, map=kind) for kind in MAPS[1:] for numbers in ((16, 80, 32), (16, 20, 8), (8, 37, -1))),
)


def spec_code(shape: Shape) -> np.ndarray:
    """Address [out, in] of the lowest bit of each code.

    GPTQ: nibble ``i % 8`` of ``qweight[i // 8, o]``. AWQ: of ``qweight[i, o // 8]``, the nibble of column ``o % 8``.
    """
    o, i = np.ogrid[: shape.out, : shape.in_features]
    if shape.format == "gptq":
        return ((i // 8) * shape.out + o) * 32 + 4 * (i % 8)
    return (i * (shape.out // 8) + o // 8) * 32 + 4 * np.array(NIBBLE_OF_COLUMN)[o % 8]


def spec_zero(shape: Shape) -> np.ndarray:
    """Address [out, in] of the lowest bit of each weight's zero point.

    Word ``o // 8`` of row ``g[i]`` of ``qzeros``: nibble ``o % 8`` in GPTQ, the nibble of column ``o % 8`` in AWQ.
    """
    o, g = np.ogrid[: shape.out, : shape.groups][0], shape.group_index()[None, :]
    nibble = o % 8 if shape.format == "gptq" else np.array(NIBBLE_OF_COLUMN)[o % 8]
    return (g * (shape.out // 8) + o // 8) * 32 + 4 * nibble


def spec_scale(shape: Shape) -> np.ndarray:
    """Address [out, in] of each weight's scale: element ``o`` of row ``g[i]`` of ``scales``."""
    return shape.group_index()[None, :] * shape.out + np.arange(shape.out)[:, None]


def _module(shape: Shape, code: int, zero: int) -> dict[str, Array]:
    """All codes and zero points alike and all scales 1, so that only what a pass replaces has an inside."""
    rows = -(-shape.in_features // 8) if shape.format == "gptq" else shape.in_features
    columns = shape.out if shape.format == "gptq" else shape.out // 8
    stored = (zero - 1) % 16 if shape.format == "gptq" else zero
    given = {
        "qweight": Array.of(np.full((rows, columns), code * 0x11111111, np.uint32).view(np.int32)),
        "qzeros": Array.of(np.full((shape.groups, shape.out // 8), stored * 0x11111111, np.uint32).view(np.int32)),
        "scales": Array.of(np.ones((shape.groups, shape.out), np.float16)),
    }
    if shape.format == "gptq" and shape.map != "absent":
        given["g_idx"] = Array.of(shape.group_index().astype(np.int32))
    return given


class _Declined(Exception):
    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


def _values(subject: Any, shape: Shape, tensors: dict[str, Array]) -> np.ndarray:
    """The dense weight as whole numbers."""
    settings = config(shape.format, shape.group_size) | {"desc_act": shape.map in ("act-order", "arbitrary")}
    if shape.format == "awq":
        del settings["desc_act"]
    outcome = decode(subject, settings, tensors)
    if not isinstance(outcome, Array):
        manner = "refused" if isinstance(outcome, Refused) else "crashed"
        raise _Declined(Verdict(f"{manner}: {outcome.error!r}", "refused" if manner == "refused" else "crashed"))
    if outcome.shape != (shape.out, shape.in_features):
        raise _Declined(Verdict(f"shape {outcome.shape}, expected {(shape.out, shape.in_features)}", "bits"))
    values = outcome.float64()
    if not (values == np.rint(values)).all():
        raise _Declined(Verdict("a weight is no whole number, though every scale is a power of two", "bits"))
    return values.astype(np.int64)


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


def _nibble_bits(nibbles: np.ndarray) -> np.ndarray:
    return (nibbles[..., None] >> np.arange(4)) & 1


def _codes(subject: Any, shape: Shape, zero: int) -> tuple[np.ndarray, np.ndarray]:
    base = _module(shape, 0, zero)
    stored = base["qweight"].shape

    def read(bits: np.ndarray) -> np.ndarray:
        codes = _values(subject, shape, base | {"qweight": _words(bits, stored)}) + zero
        return np.where(((codes >= 0) & (codes < 16))[..., None], _nibble_bits(codes), -9)

    return _addresses(32 * stored[0] * stored[1], read), spec_code(shape)[..., None] + np.arange(4)


def _zeros(subject: Any, shape: Shape, code: int) -> tuple[np.ndarray, np.ndarray]:
    base = _module(shape, code, 8)
    stored = base["qzeros"].shape
    # GPTQ stores one less, modulo 16: a bijection on fields, undone here before bits are looked at. Whether a field of
    # all ones is 0 or 16 is a matter of policy, not of layout.
    offset = 1 if shape.format == "gptq" else 0

    def read(bits: np.ndarray) -> np.ndarray:
        zeros = code - _values(subject, shape, base | {"qzeros": _words(bits, stored)})
        return np.where(((zeros >= 0) & (zeros < 16 + offset))[..., None], _nibble_bits((zeros - offset) % 16), -9)

    return _addresses(32 * stored[0] * stored[1], read), spec_zero(shape)[..., None] + np.arange(4)


def _scales(subject: Any, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    base = _module(shape, 9, 8)
    stored = base["scales"].shape

    def read(bits: np.ndarray) -> np.ndarray:
        scales = Array.of((1 + bits).astype(np.float16).reshape(stored))
        return _values(subject, shape, base | {"scales": scales}) - 1

    return _addresses(shape.groups * shape.out, read), spec_scale(shape)


def _channels(subject: Any, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Which element of ``g_idx`` decides the group of each column; groups 0 and 1 have scales 1 and 2."""
    base = _module(shape, 9, 8)
    scales = np.ones(base["scales"].shape, np.float16)
    scales[1] = 2

    def read(bits: np.ndarray) -> np.ndarray:
        given = {"g_idx": Array.of(bits.astype(np.int32)), "scales": Array.of(scales)}
        return _values(subject, shape, base | given) - 1

    own = np.broadcast_to(np.arange(shape.in_features), (shape.out, shape.in_features))
    return _addresses(shape.in_features, read), own


def _rows(subject: Any, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Which row of ``scales`` each value of ``g_idx`` means: one pass a value, all columns in one group."""
    base = _module(shape, 9, 8)
    scales = np.broadcast_to(np.arange(1, shape.groups + 1)[:, None], base["scales"].shape).astype(np.float16)
    found = []
    for group in range(shape.groups):
        g_idx = np.full(shape.in_features, group, np.int32)
        given = base | {"scales": Array.of(scales), "g_idx": Array.of(g_idx)}
        found.append(_values(subject, shape, given) - 1)
    own = np.broadcast_to(np.arange(shape.groups)[:, None, None], (shape.groups, shape.out, shape.in_features))
    return np.stack(found), own


def _judge(probe: Callable[[Any], tuple[np.ndarray, np.ndarray]], subject: Any, _: Any) -> Verdict:
    try:
        found, own = probe(subject)
    except _Declined as declined:
        return declined.verdict
    result = difference(Array.of(found.astype(np.int64)), Array.of(np.broadcast_to(own, found.shape).astype(np.int64)))
    text = f"read from the wrong place: {result.text}" if result else ""
    return Verdict(text, "bits" if result else "", weights=result.total, wrong=result.wrong)


def small() -> tuple[Shape, ...]:
    """The shapes that are quick to prove for a slow reader, smallest first."""
    return tuple(sorted((s for s in SHAPES if s.out * s.in_features <= SMALL), key=lambda s: s.out * s.in_features))


def few() -> tuple[Shape, ...]:
    """Fewer still, for a hundred mutants: every small shape with one map that is in order and one that is not."""
    last = {(s.format, s.out, s.in_features, s.group_size): s for s in small() if s.map in ("act-order", "absent")}
    return tuple(s for s in small() if s.map == "absent" or s in last.values())


def proofs(shapes: tuple[Shape, ...] = SHAPES) -> Iterator[Case]:
    """One case a shape and a kind of field."""
    for shape in shapes:
        # Zero points whose words are all 0 are still zero points.
        unstored = 1 if shape.format == "gptq" else 0
        probes: dict[str, Callable[[Any], tuple[np.ndarray, np.ndarray]]] = {
            "codes": partial(_codes, shape=shape, zero=8),
            "codes-at-zero-words": partial(_codes, shape=shape, zero=unstored),
            "zeros": partial(_zeros, shape=shape, code=0),
            "zeros-at-code-15": partial(_zeros, shape=shape, code=15),
            "scales": partial(_scales, shape=shape),
        }
        if shape.map in ("act-order", "arbitrary"):
            probes["g_idx-rows"] = partial(_rows, shape=shape)
            if shape.groups > 1:
                probes["g_idx-channels"] = partial(_channels, shape=shape)
        for kind, probe in probes.items():
            yield Case(f"{shape.id}-{kind}", partial(_judge, probe))
