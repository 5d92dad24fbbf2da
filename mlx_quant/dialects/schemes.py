"""What a configuration says of packed modules: a :class:`Scheme` for each of them by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol


@dataclass(frozen=True)
class Scheme:
    """What a configuration says of one packed module.

    Attributes:
        dialect: who wrote the configuration, the id of a module in ``mlx_quant.dialects`` (``"gptq"``, ``"awq"``).
        packing: how the bits lie, a format id: the stem of a module in ``mlx_quant.packings``.
        bits: width of a code.
        group_size: input channels a group; -1 for one group a matrix.
        layout: the label that the configuration gives its variant of the packing, such as ``"gptq_v2"``.
        sym: True or False when the file says so, else None.
        desc_act: as written; where there is a ``g_idx``, the decoder goes by that instead.
        static_groups: as written; with it, act-order leaves groups where they are.
        producer: (name, version) of the program that packed it, or None.
        block: (rows, columns) of the matrix [out, in] that share a scale, or a code; None where blocks are not
            two-dimensional.
        codebooks: how many tables a block is a sum of entries of, where the configuration says so.
        rotations: how often inputs are turned, where the configuration says so.
        word: bits of the words that codes are packed in, where the configuration may choose.
        strategy: what shares a scale, where the configuration names it: ``"tensor"``, ``"channel"``, ``"group"``, or
            ``"tensor_group"`` where groups have one and the matrix another.
        dtype: of the weight, where the configuration names one.
        shape: (out, in) of a matrix whose tensors do not tell it: what the configuration or the model says, each None
            where neither does.
        shapes: by name, of the weight and of what is packed in other tensors, where nothing else says them.
        notes: what of the configuration is not followed, in sentences; it changes no weight.
        otherwise: the scheme of a module whose tensors are of that one's packing, where the configuration leaves it to
            them which of two packings a module has.
    """

    dialect: str
    packing: str
    bits: int
    group_size: int
    layout: str
    sym: bool | None = None
    desc_act: bool | None = None
    static_groups: bool | None = None
    producer: tuple[str, tuple[int, ...]] | None = None
    block: tuple[int, int] | None = None
    codebooks: int | None = None
    rotations: int | None = None
    word: int = 32
    strategy: str = ""
    dtype: str | None = None
    shape: tuple[int | None, int | None] = (None, None)
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    notes: tuple[str, ...] = ()
    otherwise: Scheme | None = None

    @property
    def method(self) -> str:
        """The dialect, under the name that ``quant_method`` has in a configuration."""
        return self.dialect


class Schemes(Protocol):
    """The schemes of one checkpoint."""

    @property
    def default(self) -> Scheme:
        """That of a module of which nothing else is said."""
        ...

    def scheme(self, module: str) -> Scheme:
        """That of the module called ``module``. A packed module has one even if the configuration excludes it.

        Raises UnsupportedFormat or MalformedCheckpoint for what is said of this module.
        """
        ...

    def place(self, module: str) -> str | None:
        """The configuration key that sets ``module`` apart, or None."""
        ...


class Dialect(Protocol):
    """A module that reads the configurations of one family of producers."""

    @property
    def ID(self) -> str:  # noqa: N802
        """As in ``quant_method``, lower case, with dashes."""
        ...

    def recognises(self, config: Mapping[str, Any], named: str | None) -> bool:
        """Whether ``config`` is of this dialect; ``named`` is the ``quant_method`` it states, folded, or None."""
        ...

    def stated(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What ``config`` spells out beyond width and group size, each field under one name, defaults left out."""
        ...

    def schemes(self, config: Mapping[str, Any]) -> Schemes:
        """The schemes that ``config`` gives.

        Raises:
            UnsupportedFormat: ``unsupported-layout``, a variant that no packing decodes.
            MalformedCheckpoint: ``bad-config-value``, ``config-contradiction``.
        """
        ...


@dataclass(frozen=True)
class Uniform:
    """One scheme for every module."""

    default: Scheme

    def scheme(self, module: str) -> Scheme:
        return self.default

    def place(self, module: str) -> str | None:
        return None


@dataclass(frozen=True)
class Shaped:
    """Schemes of another, with the shapes of modules by name where their configuration does not say them."""

    schemes: Schemes
    shapes: Mapping[str, tuple[int | None, int | None]]

    @property
    def default(self) -> Scheme:
        return self.schemes.default

    def scheme(self, module: str) -> Scheme:
        found = self.schemes.scheme(module)
        said, known = found.shape, self.shapes.get(module, (None, None))
        out, inputs = (own if own is not None else other for own, other in zip(said, known, strict=True))
        return replace(found, shape=(out, inputs))

    def place(self, module: str) -> str | None:
        return self.schemes.place(module)
