"""Which tensors belong to which packed module, and what their headers say of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import mlx.core as mx

from ..dialects.schemes import Scheme, Schemes
from ..errors import MalformedCheckpoint, QuantError
from ..files.folder import Files, TensorInfo, read_data
from ..packings import activation, foreign
from ..packings.checks import BIAS, SCALES, leaf
from ..packings.registry import PACKINGS, descriptions, marks, packing_for, paired, partners, settled, traits

# Bytes of a tensor that describes a module; real ones have a few hundred.
_MOST_DESCRIBED = 4096

_WEIGHT = ".weight"


@dataclass(frozen=True)
class PackedModule:
    """One packed module, as its headers describe it.

    Attributes:
        name: full name, without the suffixes of its tensors.
        scheme: the checkpoint's, with what the configuration says of this module.
        out_features, in_features: shape of the dense weight, or of each matrix of a stack of experts.
        dtype: of the dense weight, unless another is asked for.
        tensors: local name (``qweight``, ``scales``, ..., ``bias``) to header entry, that of the codes first; they may
            lie in several shards.
        experts: of a stack, whose axis comes first; None for one matrix.
        scales: dtype of the scales, where it is another than that of the weight.
    """

    name: str
    scheme: Scheme
    out_features: int
    in_features: int
    dtype: mx.Dtype
    tensors: Mapping[str, TensorInfo]
    experts: int | None = None
    scales: mx.Dtype | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the dense weight."""
        matrix = (self.out_features, self.in_features)
        return matrix if self.experts is None else (self.experts, *matrix)

    @property
    def file(self) -> str:
        """The shard that holds the codes."""
        return next(iter(self.tensors.values())).file

    @property
    def weight_tensors(self) -> dict[str, TensorInfo]:
        """The tensors that make the weight: all but the bias."""
        return {name: info for name, info in self.tensors.items() if name != BIAS}


def described(files: Files, tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """``tensors`` with the bytes of those that describe others, which no header tells: a shard of the Hub that has some
    is downloaded. Only what is small enough for a description is read.
    """
    suffixes, found = descriptions(), dict[str, list[TensorInfo]]()
    for name, info in tensors.items():
        if f".{name}".endswith(suffixes) and info.nbytes <= _MOST_DESCRIBED:
            found.setdefault(info.file, []).append(info)
    read = {name: info for file, infos in found.items() for name, info in read_data(files.path(file), infos).items()}
    return {name: read.get(name, info) for name, info in tensors.items()}


def packed_modules(
    tensors: Mapping[str, TensorInfo], schemes: Schemes, *, candidates: bool = False
) -> dict[str, PackedModule]:
    """The packed modules among ``tensors``, by name, in file order.

    Tensors decide what is packed: a module that the configuration leaves out is packed all the same if its tensors are.

    Raises:
        UnsupportedFormat: ``unsupported-layout``, tensors of another packing; ``candidate-format``; as
            :meth:`Packing.measure`.
        MalformedCheckpoint: ``unexpected-tensor``, packed and dense at once; as :meth:`Packing.measure`.
    """
    divisors = activation.followers(tensors, schemes.default)
    beside = set(divisors.values())
    foreign.refuse({name: info for name, info in tensors.items() if name not in beside})
    packed = dict.fromkeys(_packed(tensors, schemes, beside))
    names = [name for name in packed if not _dense(name, tensors, schemes)]
    return {name: _module(name, tensors, schemes, candidates, divisors.get(name)) for name in names}


def leftovers(tensors: Mapping[str, TensorInfo], schemes: Schemes) -> set[str]:
    """Tensors that mean nothing: those of a packing beside a weight that was left dense, which a producer made room for
    and never wrote, and those that no model reads.
    """
    unread = traits(PACKINGS[schemes.default.packing]).unread
    beside = set(activation.followers(tensors, schemes.default).values())
    packed = dict.fromkeys(_packed(tensors, schemes, beside))
    names = [name for name in packed if _dense(name, tensors, schemes)]
    packings = {name: PACKINGS[schemes.scheme(name).packing] for name in names}
    found = {
        _named(name, end)
        for name, packing in packings.items()
        for end in packing.TENSORS
        if end != _WEIGHT and end not in traits(packing).paired
    }
    return (found & tensors.keys()) | {name for name in tensors if unread and f".{name}".endswith(unread)}


def _packed(tensors: Mapping[str, TensorInfo], schemes: Schemes, divisors: Collection[str]) -> Iterator[str]:
    """``divisors`` have names that end as those of scales do, and belong to the module that follows."""
    suffixes, own = marks(), PACKINGS[schemes.default.packing].MARKS
    beside = {mark: others for mark, others in partners().items() if mark not in own}
    for name in tensors:
        if name in divisors:
            continue
        # With a dot in front, a tensor that stands in no module has a suffix like all the others.
        whole = f".{name}"
        if suffix := next((suffix for suffix in suffixes if whole.endswith(suffix)), None):
            module = whole.removesuffix(suffix)[1:]
            if not _is_mark(module, suffix, tensors):
                continue
            if suffix not in beside or any(_named(module, other) in tensors for other in beside[suffix]):
                yield module


def _is_mark(module: str, suffix: str, tensors: Mapping[str, TensorInfo]) -> bool:
    """Whether a tensor of this name marks the module, beside what else it has."""
    others = paired().get(suffix)
    if others is None:
        return True
    found = {other: tensors.get(_named(module, other)) for other in others}
    return any(info is not None and info.dtype in others[other] for other, info in found.items())


def _dense(name: str, tensors: Mapping[str, TensorInfo], schemes: Schemes) -> bool:
    """Whether a module's weight is dense, though it bears marks: where a packing calls its codes ``weight`` as well."""
    weight = tensors.get(f"{name}.weight")
    if weight is None or weight.dtype not in SCALES:
        return False
    packing = PACKINGS[schemes.scheme(name).packing]
    # Codes may lie under the dtype of a float.
    return _WEIGHT in packing.TENSORS and weight.dtype not in traits(packing).storage


def _module(
    name: str, tensors: Mapping[str, TensorInfo], schemes: Schemes, candidates: bool, divisors: str | None
) -> PackedModule:
    scheme = schemes.scheme(name)
    packing = PACKINGS[scheme.packing]
    # Marks of other packings are gathered as well, for this one to wonder at.
    suffixes = dict.fromkeys((*packing.TENSORS, *marks()))
    own = packing.TENSORS
    found = {leaf(end): _named(name, end) for end in suffixes if end in own or _is_mark(name, end, tensors)}
    leaves = {local: tensors[full] for local, full in found.items() if full in tensors}
    place = f"{next(iter(leaves.values())).file}: {name}"
    if f"{name}.weight" in tensors and "weight" not in leaves:
        raise MalformedCheckpoint(
            "unexpected-tensor", "the module is packed and dense at once", where=f"{place}.weight"
        )
    scheme = settled(scheme, leaves)
    try:
        measured = packing_for(scheme, leaves, candidates=candidates).measure(scheme, leaves)
        if divisors is not None:
            activation.measure(tensors[divisors], measured.in_features)
    except QuantError as error:
        rule = f" ({schemes.place(name)})" if schemes.place(name) else ""
        raise error.at(f"{place}{rule}") from None
    if divisors is not None:
        leaves[activation.LEAF] = tensors[divisors]
    if bias := tensors.get(_named(name, f".{BIAS}")):
        leaves[BIAS] = bias
    shape = (measured.out_features, measured.in_features)
    return PackedModule(name, scheme, *shape, measured.dtype, leaves, measured.experts, measured.scales)


def _named(module: str, suffix: str) -> str:
    return f"{module}{suffix}" if module else leaf(suffix)
