"""Questions: a packed module and what must become of it, as plain data that can be asked, shown and exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..bits.array import FLOATS, Array
from ..formats.parts import steps
from ..formats.registry import format_of, group_size, parts
from ..subjects.ask import decode
from ..subjects.subject import Refused
from .verdict import Verdict, asked_of, compared, declined

GROUP_SIZES = (-1, 32, 64, 128)
LEGACY_KEYS = ("w_bit", "wbits", "q_group_size")


@dataclass(frozen=True)
class Question:
    """One module.

    Attributes:
        id: stable slug, ``level/name``; never renumbered and never reused.
        level: the level it belongs to.
        config, tensors, dtype: what a subject is given.
        flags: what is particular about it; those of :func:`flags_of`, and more.
        expected: the bits [out, in] due; None where the oracle is asked, or where a refusal is due.
        code: where a refusal is due, the stable code our own errors carry.
        readings: where a refusal is due, weights that a loader which knows more may give instead.
        source: what the expectation comes from.
    """

    id: str
    level: str
    config: dict[str, Any]
    tensors: dict[str, Array]
    flags: frozenset[str]
    dtype: str | None = None
    expected: Array | None = None
    code: str = ""
    readings: tuple[Array, ...] = ()
    source: str = ""
    comment: str = ""

    def answer(self, oracle: Any) -> Array:
        """The weight due."""
        if self.expected is not None:
            return self.expected
        return asked_of(oracle, self.config, self.tensors, self.dtype)

    def judge(self, subject: Any, oracle: Any) -> Verdict:
        outcome = decode(subject, self.config, self.tensors, self.dtype)
        if not self.code:
            due = self.answer(oracle)
            return with_steps(compared(outcome, due), outcome, due, self.config, self.tensors)
        if isinstance(outcome, Refused) or not any(not compared(outcome, r).complaint for r in self.readings):
            return declined(outcome, self.code)
        return Verdict()


def with_steps(
    verdict: Verdict, outcome: Any, expected: Array, config: Mapping[str, Any], tensors: Mapping[str, Array]
) -> Verdict:
    """A complaint about bits, and how many quantisation steps it is about."""
    if verdict.manner != "bits" or outcome.shape != expected.shape or outcome.dtype not in FLOATS:
        return verdict
    return replace(verdict, steps=steps(outcome, expected, parts(config, tensors)))


def flags_of(config: Mapping[str, Any], tensors: Mapping[str, Array], dtype: str | None = None) -> frozenset[str]:
    """What anybody can see of a sound module."""
    format, scales = format_of(config) or "other", tensors["scales"]
    flags = {format, f"scales-{scales.dtype}"}
    rows = tensors["qweight"].shape[0]
    in_features = rows
    if format == "gptq":
        in_features = tensors["g_idx"].shape[0] if "g_idx" in tensors else rows * 8
        flags |= {"symmetric" if config.get("sym", True) else "asymmetric", _map(config, tensors, in_features)}
    size = config.get("group_size", config.get("q_group_size", -1))
    flags.add(f"group-size-{size}" if size in GROUP_SIZES else "group-size-other")
    if in_features % group_size(config, in_features):
        flags.add("ragged")
    if in_features % 32 or scales.shape[1] % 32:
        flags.add("odd-width")
    if dtype not in (None, scales.dtype):
        flags.add("out-dtype")
    if "bias" in tensors:
        flags.add("bias")
    if any(key in config for key in LEGACY_KEYS) or "quant_method" not in config:
        flags.add("legacy-config")
    return frozenset(flags)


def _map(config: Mapping[str, Any], tensors: Mapping[str, Array], in_features: int) -> str:
    if "g_idx" not in tensors:
        return "no-g_idx"
    g_idx = tensors["g_idx"].bits
    consecutive = np.arange(in_features) // group_size(config, in_features)
    if np.array_equal(g_idx, consecutive):
        return "sequential"
    return "act-order" if np.array_equal(np.sort(g_idx), consecutive) else "arbitrary-groups"
