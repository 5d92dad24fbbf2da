"""What a mutant is: a sound subject with one fault of a real loader built in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from ..bits.array import Array
from ..formats.dialects import NAMES
from ..formats.registry import BY_SLUG, format_of
from ..subjects.ask import decode, load_weights

Config = dict[str, Any]
Tensors = Mapping[str, Array]
Weights = dict[str, Array]
Ask = Callable[[Config, Tensors, str | None], Array]
Load = Callable[[Path], Weights]


class Bug(StrEnum):
    """Kinds of fault. Those of formats that are not decoded here (codebooks, global scales) have no mutant yet."""

    BIAS = "BIAS"
    CONFIG_FALLBACK = "CONFIG_FALLBACK"
    CROSS_WORD = "CROSS_WORD"
    FILE_SET = "FILE_SET"
    GROUP_INDEX = "GROUP_INDEX"
    GROUP_TAIL = "GROUP_TAIL"
    INTERLEAVE = "INTERLEAVE"
    LAYOUT_VERSION = "LAYOUT_VERSION"
    LIFECYCLE = "LIFECYCLE"
    MISLABELLED = "MISLABELLED"
    MISSING_TENSOR = "MISSING_TENSOR"
    MODULE_SET = "MODULE_SET"
    NAN_INF = "NAN_INF"
    NIBBLE_ORDER = "NIBBLE_ORDER"
    OP_ORDER_DTYPE = "OP_ORDER_DTYPE"
    PACK_AXIS = "PACK_AXIS"
    ROUNDING = "ROUNDING"
    SCALE_ENCODING = "SCALE_ENCODING"
    SHAPE_PADDING = "SHAPE_PADDING"
    SIGNEDNESS = "SIGNEDNESS"
    SUBNORMAL = "SUBNORMAL"
    ZERO_OFFSET = "ZERO_OFFSET"
    ZERO_PACK_AXIS = "ZERO_PACK_AXIS"


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        id: that of the bug catalogue, with a letter where one entry has several forms.
        bug: its kind.
        mechanism: what the faulty loader does, in one line; where the original belongs to another format or width, the
            line says what the fault is here.
        links: where it happened.
        killed_by: levels that must notice it.
        formats: slugs of the formats that it touches; elsewhere the mutant is sound.
        bits: the widths of a code at which it errs; at every other one it is sound. Faults that are told in nibbles
            or in masks of 4 bits have no meaning elsewhere.
        decode: the faulty decode of one module, given the sound one.
        load: the faulty load of a checkpoint, given the sound one.
        repack: the faulty form of one module in MLX's packing, given the sound decode.
        loud: the fault itself is a crash or a refusal, so that noticing it as such counts.
    """

    id: str
    bug: Bug
    mechanism: str
    links: tuple[str, ...]
    killed_by: tuple[str, ...]
    formats: tuple[str, ...] = ("awq", "gptq")
    bits: tuple[int, ...] = (4,)
    decode: Callable[[Ask, Config, Tensors, str | None], Array] | None = None
    load: Callable[[Load, Path], Weights] | None = None
    repack: Callable[[Ask, Config, Tensors], dict[str, Any]] | None = None
    loud: bool = False


class Subject:
    """A mutant as a subject. Its modules decode as the sound subject's do where ``decode`` is not given."""

    framework = "array"

    def __init__(self, mutant: Mutant, sound: Any) -> None:
        self.name, self.refusals, self._mutant, self._sound = mutant.id, sound.refusals, mutant, sound
        if mutant.load is not None:
            self.load = partial(mutant.load, partial(load_weights, sound))
        if mutant.repack is not None:
            self.to_affine = partial(mutant.repack, lambda config, tensors, dtype: self.ask(config, tensors, dtype))

    def info(self) -> dict[str, Any]:
        formats = sorted(BY_SLUG.keys() | NAMES)
        affine = {"formats": formats}
        return {"formats": formats, "mechanism": self._mutant.mechanism, "affine": affine}

    def dequantize(self, config: Config, tensors: Tensors, *, dtype: str | None = None) -> Array:
        if self._mutant.decode is None or not self._errs(config):
            return self.ask(config, tensors, dtype)
        return self._mutant.decode(self.ask, config, tensors, dtype)

    def _errs(self, config: Config) -> bool:
        """Whether the fault has anything to do with a module; with what is no format of the suite it has."""
        if (format := format_of(config)) is None:
            return True
        try:
            said = format.said_width(config)
        except (AttributeError, LookupError, RecursionError, StopIteration, TypeError, ValueError):
            # A config that is broken says none, and the sound subject, which is asked first, refuses it.
            said = None
        bits = format.WIDTHS[0] if said is None else said
        return format.SLUG in self._mutant.formats and (bits in self._mutant.bits or bits not in format.WIDTHS)

    def ask(self, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        """The sound subject's answer; its refusal is raised."""
        answer = decode(self._sound, config, tensors, dtype)
        if isinstance(answer, Array):
            return answer
        raise answer.error


def github(*places: str) -> tuple[str, ...]:
    """Addresses of ``owner/repo#number`` and ``owner/repo@commit``."""
    found = []
    for place in places:
        repo, mark, rest = place.partition("#")
        if not mark:
            repo, _, rest = place.partition("@")
        found.append(f"https://github.com/{repo}/{'issues' if mark else 'commit'}/{rest}")
    return tuple(found)
