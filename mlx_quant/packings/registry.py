"""The packings there are, which of them may be used, and the one door through which modules are decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from ..dialects.registry import REFUSED
from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint, UnsupportedFormat
from ..files.folder import TensorInfo
from ..weights.decoded import Weight
from . import awq_gemm, foreign, gptq
from .evidence import evidence_of, status_of
from .protocol import Infos, Packing, Status, Tensors

PACKINGS: dict[str, Packing] = {packing.ID: packing for packing in (awq_gemm, gptq)}


@dataclass(frozen=True)
class FormatStatus:
    """Whether one format is decoded.

    Attributes:
        name: format id, or the ``quant_method`` that is refused.
        status: ``"enabled"``, ``"candidate"`` or ``"refused"``.
        reason: why not, or what of it is decoded.
        bits, layouts: what of a format is decoded; empty for a refused one.
        evidence: what the conformance suite found, as ``mlx-quant-conformance run --format`` writes it; None without.
    """

    name: str
    status: Status
    reason: str
    bits: tuple[int, ...] = ()
    layouts: tuple[str, ...] = ()
    evidence: Mapping[str, Any] | None = None


def formats() -> dict[str, FormatStatus]:
    """Every format this package has heard of: those that are decoded, then those that are refused by name."""
    found = {}
    for name, packing in sorted(PACKINGS.items()):
        reason = f"{packing.TITLE}: {', '.join(map(str, packing.BITS))} bits, layout {', '.join(packing.LAYOUTS)}"
        status, evidence = status_of(packing), evidence_of(packing.ID)
        found[name] = FormatStatus(name, status, reason, packing.BITS, packing.LAYOUTS, evidence)
    return found | {name: FormatStatus(name, "refused", reason) for name, reason in sorted(REFUSED.items())}


def require_usable(scheme: Scheme, candidates: bool) -> None:
    """UnsupportedFormat ``candidate-format`` for a packing that is not enabled, unless candidates are asked for."""
    packing = PACKINGS[scheme.packing]
    if status_of(packing) != "enabled" and not candidates:
        raise UnsupportedFormat(
            "candidate-format",
            f"{packing.TITLE} is a candidate: it is decoded, but the conformance suite's evidence is not complete. "
            "Ask for it with candidates=True (--candidates), and check what comes out",
            where="quant_method",
        )


def packing_for(scheme: Scheme, infos: Infos) -> Packing:
    """The packing that a module's headers have, if the scheme says the same.

    Raises:
        MalformedCheckpoint: ``config-contradiction``, the tensors of another packing than the configuration's.
        UnsupportedFormat: ``unsupported-layout``, tensors of a packing that is not decoded.
    """
    packing = PACKINGS[scheme.packing]
    if packing.recognises(infos):
        return packing
    if other := next((found for found in PACKINGS.values() if found.recognises(infos)), None):
        shapes = ", ".join(f"{name} {list(info.shape)}" for name, info in infos.items())
        raise MalformedCheckpoint(
            "config-contradiction",
            f"packed as {other.TITLE} ({shapes}), but the configuration says {packing.TITLE}; correct quant_method",
            where=next(iter(infos)),
        )
    foreign.refuse_shapes(infos)
    return packing


def decode(scheme: Scheme, tensors: Tensors, *, candidates: bool = False) -> Weight:
    """The weight of one module; ``tensors`` by local name, of which ``bias`` is not read."""
    require_usable(scheme, candidates)
    return PACKINGS[scheme.packing].decode(scheme, tensors)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    """What deserves a look in tensors that were decoded; it changes no weight."""
    return PACKINGS[scheme.packing].remarks(scheme, tensors)


def stand_in(scheme: Scheme, leaf: str, info: TensorInfo) -> mx.array:
    """A tensor in place of one that was not read, as the headers and the configuration promise it."""
    return PACKINGS[scheme.packing].stand_in(scheme, leaf, info)


def marks() -> tuple[str, ...]:
    """Every suffix that says of a tensor that its module is packed, the longest first."""
    return tuple(sorted({mark for packing in PACKINGS.values() for mark in packing.MARKS}, key=lambda m: (-len(m), m)))
