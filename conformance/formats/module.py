"""Packed modules as plain data, in the roles in which a format hands them to the suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ParamSpec

import numpy as np

from ..bits.array import Array
from .parts import Parts

# Names that follow the module's without a dot.
_BARE = ("_blocks", "_scales")


def full_name(module: str, leaf: str) -> str:
    """The name of a tensor in a checkpoint: after that of its module and a dot, but for a few."""
    return f"{module}{leaf}" if leaf in _BARE else f"{module}.{leaf}"


@dataclass(frozen=True)
class Pack:
    """One generated module: a checkpoint's ``quantization_config`` and its tensors, with the flags drawn."""

    config: dict[str, Any]
    tensors: dict[str, Array]
    flags: frozenset[str]
    dtype: str | None

    def __repr__(self) -> str:
        shapes = {name: list(array.shape) for name, array in self.tensors.items()}
        return f"Pack({self.config}, {shapes}, {sorted(self.flags)}, dtype={self.dtype})"


@dataclass(frozen=True)
class Sample:
    """One module of the grid, packed from the numbers in ``parts``; ``output`` is the dtype asked for."""

    name: str
    config: dict[str, Any]
    tensors: dict[str, Array]
    parts: Parts
    output: str | None = None
    flags: frozenset[str] = frozenset()


_Options = ParamSpec("_Options")


@dataclass(frozen=True)
class Unmade:
    """A module of the grid that is made when it is first looked at: a name costs nothing, its numbers do.

    ``output`` and ``real_size`` are those that its options name.
    """

    name: str
    output: str | None
    real_size: bool
    make: Callable[[], Sample]

    @cached_property
    def sample(self) -> Sample:
        return self.make()


def unmade(make: Callable[_Options, Sample]) -> Callable[_Options, Unmade]:
    """Put off what a room's function makes of a name, its first argument, and options."""

    def put_off(*arguments: _Options.args, **options: _Options.kwargs) -> Unmade:
        name, output = arguments[0], options.get("output")
        assert isinstance(name, str)
        assert output is None or isinstance(output, str)
        return Unmade(name, output, bool(options.get("real_size")), partial(make, *arguments, **options))

    return put_off


@dataclass(frozen=True)
class Spelling:
    """Two ways to store one module, which must decode alike; ``plain`` is the one without a peculiarity.

    ``policy`` names what it is about, at any width.
    """

    id: str
    policy: str
    config: dict[str, Any]
    tensors: dict[str, Array]
    plain_config: dict[str, Any]
    plain: dict[str, Array]


@dataclass(frozen=True)
class Refusal:
    """A sound module with one thing wrong.

    ``code`` is the stable code our own errors carry; a foreign subject need only use its declared types. ``readings``
    are the weights of loaders that know more than we decode, or are more lenient without guessing. ``flags`` say what
    a loader must read, beside the format, to see what is wrong.
    """

    id: str
    config: dict[str, Any]
    tensors: dict[str, Array]
    code: str
    readings: tuple[Array, ...] = ()
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shape:
    """One matrix [out, in] in groups, with the way its groups are assigned; what layouts are proven on.

    ``kind`` is whatever else a format needs to know to make one, and is said in the label. ``experts`` is the number of
    matrices of a stack, which have the outputs one after the other; 0 for one matrix.
    """

    label: str
    out: int
    in_features: int
    group_size: int
    map: str = "absent"
    bits: int = 4
    kind: str = ""
    experts: int = 0

    @property
    def dense(self) -> tuple[int, ...]:
        """The shape of the weight."""
        if self.experts:
            return self.experts, self.out // self.experts, self.in_features
        return self.out, self.in_features

    @property
    def id(self) -> str:
        return f"{self.label}-{self.out}x{self.in_features}-g{self.group_size}-{self.map}"

    @property
    def groups(self) -> int:
        return 1 if self.group_size == -1 else -(-self.in_features // self.group_size)

    @property
    def ordered(self) -> bool:
        """Whether the groups are where their position puts them."""
        return self.map not in ("act-order", "arbitrary")

    def group_index(self) -> np.ndarray:
        """The group of every input channel."""
        size = self.in_features if self.group_size == -1 else self.group_size
        consecutive = np.arange(self.in_features) // size
        rng = np.random.default_rng(self.out * 1000 + self.in_features)
        if self.map == "act-order":
            return rng.permutation(consecutive)
        return rng.integers(0, self.groups, self.in_features) if self.map == "arbitrary" else consecutive


@dataclass(frozen=True)
class Place:
    """Where one field of a weight lies: ``text`` names tensor, word and field, ``value`` is the field as stored."""

    text: str
    value: int


@dataclass(frozen=True)
class Files:
    """What a format has under ``fixtures/<id>``.

    Attributes:
        vectors: stems of files of modules that upstream packed, held to upstream's own readers.
        produced: the same of producers with a way of their own, held to what those read themselves.
        checkpoints: real packed models.
        heard: those of them that every subject is asked, small enough to recite in a second.
        falters: those of them that quantisation costs a word: they leave the text, after 32 tokens or later.
    """

    vectors: tuple[str, ...] = ()
    produced: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()
    digests: tuple[str, ...] = field(default=())
    falters: tuple[str, ...] = ()
