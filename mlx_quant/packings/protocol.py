"""What a packing must have. Each is a module of this package; its stem is the format id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..files.folder import TensorInfo
from ..weights.decoded import Weight

# Decoded; decoded only when asked, because the suite's evidence is not complete; not decoded.
Status = Literal["enabled", "candidate", "refused"]
Infos = Mapping[str, TensorInfo]
Tensors = Mapping[str, mx.array]


@dataclass(frozen=True)
class Measured:
    """What headers say of a module: the shape of its dense weight, and the dtype that the format gives it.

    ``experts`` is the number of matrices of a stack, whose axis comes first; None for one matrix. ``scales`` is the
    dtype of scales, where it is another than that of the weight.
    """

    out_features: int
    in_features: int
    dtype: mx.Dtype
    experts: int | None = None
    scales: mx.Dtype | None = None


@dataclass(frozen=True)
class Traits:
    """What few packings have about their tensors, which are given by their suffixes.

    Attributes:
        partners: marks so common that under another packing's configuration they mark a module only beside another
            tensor.
        paired: marks so common that under any configuration they mark one only beside another tensor, which has one of
            these dtypes.
        described: tensors whose bytes must be seen before the shape of their module is known.
        unshaped: tensors that do not tell the shape of their module, which the scheme must.
        unread: tensors beside the modules that no model reads.
        storage: dtypes of floats that codes may lie under.
        passed: tensors that a CPU passes through word by word, whatever it makes of them: it need not copy them first.
    """

    partners: Mapping[str, str] = field(default_factory=dict)
    paired: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    described: tuple[str, ...] = ()
    unshaped: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()


class Packing(Protocol):
    """How the bits of a module lie in its tensors.

    A tensor's local name is its suffix without a leading dot: ``x.weight.absmax`` is ``weight.absmax`` of ``x`` under
    the suffix ``.weight.absmax``, and ``x_blocks`` is ``_blocks`` of ``x`` under ``_blocks``. A ``bias`` is never part
    of a packed weight: it is not declared, and ignored where it is given. Where it is not like most, it has
    ``TRAITS`` too.
    """

    @property
    def ID(self) -> str:  # noqa: N802
        """The format id."""
        ...

    @property
    def TITLE(self) -> str:  # noqa: N802
        """The name that people know it by."""
        ...

    @property
    def STATUS(self) -> Status:  # noqa: N802
        """As its author declares it; the registry takes ``enabled`` back where evidence is lacking."""
        ...

    @property
    def BITS(self) -> tuple[int, ...]:  # noqa: N802
        """Widths that are decoded."""
        ...

    @property
    def LAYOUTS(self) -> tuple[str, ...]:  # noqa: N802
        """Labels of a configuration that are decoded."""
        ...

    @property
    def MARKS(self) -> tuple[str, ...]:  # noqa: N802
        """Suffixes of which one is enough to say that a module is packed."""
        ...

    @property
    def TENSORS(self) -> tuple[str, ...]:  # noqa: N802
        """Suffixes of all tensors of a module, the one with the codes first; ``MARKS`` are among them."""
        ...

    def recognises(self, infos: Infos) -> bool:
        """Whether dtypes and shapes are those of this packing, whatever a configuration says; never raises."""
        ...

    def measure(self, scheme: Scheme, infos: Infos) -> Measured:
        """The module's shape and dtype from its headers, or a refusal of what they say.

        Raises:
            UnsupportedFormat: ``unsupported-layout``, ``unsupported-bits``, ``unsupported-dtype``.
            MalformedCheckpoint: ``missing-tensor``, ``unexpected-tensor``, ``bad-dtype``, ``bad-shape``.
        """
        ...

    def decode(self, scheme: Scheme, tensors: Tensors) -> Weight:
        """The weight. Checks what :meth:`measure` checks, then the values of small tensors; codes stay unread.

        Raises as :meth:`measure`, and MalformedCheckpoint for values: ``non-finite-scales``,
        ``group-index-out-of-range``.
        """
        ...

    def remarks(self, scheme: Scheme, tensors: Tensors) -> list[str]:
        """What deserves a look in tensors that :meth:`decode` accepts: where data make a label doubtful."""
        ...

    def stand_in(self, scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
        """The plainest tensor that a module's headers and the configuration allow in place of one that was not read."""
        ...
