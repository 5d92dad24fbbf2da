"""What a format must tell the suite. A format is a package of this folder whose name is the format's id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from ..bits.array import Array
from .domain import Domain
from .folder import Folder
from .layout import Layout
from .module import Files, Refusal, Shape, Spelling, Unmade
from .parts import Config, Parts, Tensors


class Format(Protocol):
    """One format.

    What Hypothesis draws its modules from is in its room ``strategy``, which nobody imports who draws none:
    ``strategies()`` by label.

    Attributes:
        ID: the stem that it has in every folder.
        SLUG: what case ids, flags and claims call it. Published, so it outlives a change of mind about ``ID``.
        TITLE: what people call it.
        LEAVES: local names of a module's tensors, but for the bias; the first marks a packed module, or all of
            ``MARKS`` where a format has them. See :func:`full_name` for their names in a checkpoint.
        WIDTHS: widths of a code in bits that the suite asks for, the usual one first.
        NOT_APPLICABLE: levels by id that this format cannot be asked, with the reason; they have no case of it.
        LAYOUT: how its layouts are proven.
        FILES: what lies under ``fixtures/<ID>``.
        SHAPES: what layouts are proven on; none where that level is not applicable.
        SMOKE: the name of the plainest :class:`Sample` of the grid.
        COLUMNS: columns of a report: title to the flags of which a case has one; no flags where it lacks a column that
            all formats have.
        BRIEF: the few columns of a short table: title to the flags that a case must have, and those that it must not.
        FLAG_NOTES, FOLDER_NOTES: what exports say of its flags, and of its folders by id without the slug: a text, and
            ids of mutants and ``#policies``.
        SIDECAR, LEGACY: of checkpoint folders: the file for settings beside ``config.json``, and the settings of an old
            producer with groups of 32; empty where no producer writes one.
    """

    ID: str
    SLUG: str
    TITLE: str
    LEAVES: tuple[str, ...]
    WIDTHS: tuple[int, ...]
    NOT_APPLICABLE: Mapping[str, str]
    LAYOUT: Layout
    FILES: Files
    SHAPES: tuple[Shape, ...]
    SMOKE: str
    COLUMNS: Mapping[str, tuple[str, ...]]
    BRIEF: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    FLAG_NOTES: Mapping[str, tuple[str, str]]
    FOLDER_NOTES: Mapping[str, tuple[str, str]]
    SIDECAR: str
    LEGACY: Mapping[str, Any]

    def names(self, config: Config) -> bool:
        """Whether the config of a module means this format, in whichever dialect it is written."""

    def config(self, bits: int, group_size: int) -> dict[str, Any]:
        """The plainest ``quantization_config``."""

    def config_of(self, config: Config, module: str) -> dict[str, Any]:
        """The config of one module of a checkpoint, by its name, in the dialect of this format's own producers."""

    def pack(self, codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int) -> dict[str, Array]:
        """The plainest module of codes [out, in] and zero points [groups, out]; groups are consecutive."""

    def parts(self, config: Config, tensors: Tensors) -> Parts:
        """A sound module taken apart, by the format's definition and the written policies."""

    def said_width(self, config: Config) -> int | None:
        """Bits of a code as the config has them, decoded or not; None where it does not say."""

    def group_size(self, config: Config, in_features: int) -> int:
        """Input channels a group, -1 and absent values resolved."""

    def flags(self, config: Config, tensors: Tensors) -> set[str]:
        """What can be seen of a sound module, but for its bias."""

    def grid(self) -> Iterator[Unmade]:
        """A small module for every option, packed from known numbers."""

    def spellings(self) -> Iterator[Spelling]:
        """Modules that are stored in two ways."""

    def disputed(self, flags: frozenset[str]) -> bool:
        """Whether upstream's own readers part on a vector with these flags, or from the written policies."""

    def settled(self, config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
        """The answer due for a disputed vector, made of what upstream's readers say wherever they may be believed."""

    def refusals(self) -> Iterator[Refusal]:
        """Modules with one thing wrong."""

    def constant(self, shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
        """A module whose codes and zero points are all alike and whose scales are 1."""

    def domains(self) -> Iterator[Domain]:
        """What arithmetic is enumerated on; none where that level is not applicable."""

    def drawn(self, rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
        """Random tensors of a module as ``config`` describes it."""

    def leaving_out(self, left_out: list[str], packed: list[str]) -> dict[str, Any]:
        """The setting by which the producer says which modules are packed; ``left_out`` and ``packed`` are all."""

    def folders(self) -> Iterator[Folder]:
        """Checkpoint folders that only this format has; sound ones, and unsound ones with their code.

        It is called in outline as well (:func:`conformance.formats.build.in_outline`): only tensors may depend on
        numbers that are drawn.
        """

    def explain(self, config: Config, tensors: Tensors, output: int, channel: int) -> list[str]:
        """Where each number lies that makes one weight, a line each; the first says to which group it belongs."""
