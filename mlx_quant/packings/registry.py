"""The packings there are, which of them may be used, and the one door through which modules are decoded."""

from __future__ import annotations

import functools

import mlx.core as mx

from ..dialects.registry import REFUSED
from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint
from ..weights.decoded import Weight
from . import (
    activation,
    aqlm,
    awq_gemm,
    awq_gemv,
    awq_gemv_fast,
    bitnet,
    bnb_4bit,
    bnb_int8,
    checks,
    ct_int,
    ct_packed,
    foreign,
    fp8,
    fp8_parts,
    gemma_quant,
    gptq,
    gptq_marlin,
    gptq_narrow,
    gptq_planar,
    hqq,
    metal,
    modelopt_int4,
    mxfp4,
    nvfp4,
    paroquant,
    qqq,
    quanto_int4,
    quanto_int8,
    quark_int,
    sinq,
    torchao_int8,
    torchao_mx,
    vptq,
)
from .protocol import Infos, Packing, Tensors, Traits
from .status import FormatStatus, allow, status_of

PACKINGS: dict[str, Packing] = {
    packing.ID: packing
    for packing in (
        awq_gemm,
        fp8,
        gptq,
        ct_packed,
        ct_int,
        awq_gemv,
        awq_gemv_fast,
        mxfp4,
        bnb_4bit,
        bnb_int8,
        nvfp4,
        gptq_planar,
        gptq_marlin,
        gptq_narrow,
        hqq,
        modelopt_int4,
        torchao_int8,
        torchao_mx,
        qqq,
        metal,
        quanto_int8,
        quanto_int4,
        fp8_parts,
        quark_int,
        gemma_quant,
        aqlm,
        bitnet,
        paroquant,
        sinq,
        vptq,
    )
}


_LIKE_MOST = Traits()


def formats() -> dict[str, FormatStatus]:
    """Every format this package has heard of: those that are decoded, then those that are refused by name."""
    found = {name: status_of(packing) for name, packing in sorted(PACKINGS.items())}
    return found | {name: FormatStatus(name, "refused", reason) for name, reason in sorted(REFUSED.items())}


def traits(packing: Packing) -> Traits:
    """What is not as most have it."""
    found: Traits = getattr(packing, "TRAITS", _LIKE_MOST)
    return found


def settled(scheme: Scheme, infos: Infos) -> Scheme:
    """``scheme``, or the other one that it leaves modules with codes of this dtype to."""
    other = scheme.otherwise
    pairs = traits(PACKINGS[other.packing]).paired.values() if other else ()
    theirs = any(checks.leaf(end) in infos and infos[checks.leaf(end)].dtype in dtypes for end, dtypes in pairs)
    return other if other and theirs else scheme


def packing_for(scheme: Scheme, infos: Infos, *, candidates: bool = False) -> Packing:
    """The packing that a module's headers have, if the scheme says the same and it may be used.

    Raises:
        MalformedCheckpoint: ``config-contradiction``, the tensors of another packing than the configuration's.
        UnsupportedFormat: ``unsupported-layout``, tensors of a packing that is not decoded; ``candidate-format``.
    """
    packing = PACKINGS[scheme.packing]
    allow(packing, candidates)
    if packing.recognises(infos):
        return packing
    if other := next((found for found in PACKINGS.values() if found.recognises(infos)), None):
        shapes = ", ".join(f"{name} {list(info.shape)}" for name, info in infos.items())
        raise MalformedCheckpoint(
            "config-contradiction",
            f"packed as {other.TITLE} ({shapes}), but the configuration says {packing.TITLE}; correct quant_method, or "
            "the label of the layout",
            where=next(iter(infos)),
        )
    foreign.refuse_shapes(infos)
    return packing


def decode(scheme: Scheme, tensors: Tensors, *, candidates: bool = False) -> Weight:
    """The weight of one module; ``tensors`` by local name, of which ``bias`` is not read.

    Raises as :meth:`Packing.decode`, and UnsupportedFormat ``candidate-format`` unless ``candidates``.
    """
    if scheme.otherwise:
        scheme = settled(scheme, checks.headers(tensors))
    packing = PACKINGS[scheme.packing]
    allow(packing, candidates)
    own, divisors = activation.apart(scheme, tensors)
    if divisors is None:
        return packing.decode(scheme, own)
    headers = checks.headers(tensors)
    weight = packing.decode(scheme, own)
    activation.measure(headers[activation.LEAF], weight.shape[1])
    return activation.divided(weight, divisors)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    """What deserves a look in tensors that were decoded; it changes no weight."""
    return PACKINGS[scheme.packing].remarks(scheme, activation.apart(scheme, tensors)[0])


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    """A tensor in place of one that was not read, as the headers and the configuration promise it."""
    if leaf == activation.LEAF:
        return mx.ones(infos[leaf].shape, infos[leaf].mlx_dtype)
    return PACKINGS[scheme.packing].stand_in(scheme, leaf, infos)


def descriptions() -> tuple[str, ...]:
    """Suffixes of tensors whose bytes a packing must see before it can say what shape a module has."""
    return tuple(suffix for packing in PACKINGS.values() for suffix in traits(packing).described)


def unshaped() -> tuple[str, ...]:
    """Suffixes of tensors whose modules have a shape that no tensor tells: see :class:`Scheme`."""
    return tuple(suffix for packing in PACKINGS.values() for suffix in traits(packing).unshaped)


def partners() -> dict[str, tuple[str, ...]]:
    """Marks of packings that are some under another configuration only beside one of these, by their suffixes."""
    pairs = [pair for packing in PACKINGS.values() for pair in traits(packing).partners.items()]
    return {mark: tuple(other for first, other in pairs if first == mark) for mark, _ in pairs}


@functools.cache
def paired() -> dict[str, dict[str, tuple[str, ...]]]:
    """Marks that are some only beside another tensor: by its suffix, the dtypes that it may have."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for packing in PACKINGS.values():
        for mark, (other, dtypes) in traits(packing).paired.items():
            beside = found.setdefault(mark, {})
            beside[other] = (*beside.get(other, ()), *dtypes)
    return found


def marks() -> tuple[str, ...]:
    """Every suffix that says of a tensor that its module is packed, the longest first."""
    return tuple(sorted({mark for packing in PACKINGS.values() for mark in packing.MARKS}, key=lambda m: (-len(m), m)))
