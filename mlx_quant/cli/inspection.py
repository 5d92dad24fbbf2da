"""What a checkpoint holds, and what a conversion would make of it, told without writing anything."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from ..checkpoint.checkpoint import Checkpoint
from ..checkpoint.outline import Outline
from ..checkpoint.sources import ties_embeddings
from ..conversion.names import as_mlx_lm_names
from ..conversion.plan import make_plan
from ..errors import ConversionError, QuantWarning
from ..files.faults import typed
from ..files.folder import DTYPES, Folder, TensorInfo
from ..models.architecture import Architecture, mlx_lm_utils
from ..models.config import config_for
from ..packings.checks import BIAS
from ..packings.registry import formats
from .words import has_chat_template, human, machine_memory, to_convert, to_run, to_run_from

_FROM_HEADERS = (
    "told from the headers alone: act-order is what desc_act says, and scales, zero points and biases were not read"
)


@dataclass(frozen=True)
class ModuleGroup:
    """Packed modules that are alike but for the number of their layer.

    Attributes:
        pattern: name, with ``*`` for each number.
        count: how many.
        shape: of the dense weight, [out, in], or [experts, out, in].
        bits, group_size: of these modules; ``dynamic`` may give them others than the rest.
        act_order: whether the inputs of a group lie apart, going by the tensors, or by the configuration if those
            were not read.
        scales: dtype that the format gives the weight, as safetensors spells it.
        bias: whether a bias is stored.
        packing: format id.
        block: (rows, columns) that share a scale, where blocks are two-dimensional.
    """

    pattern: str
    count: int
    shape: tuple[int, ...]
    bits: int
    group_size: int
    act_order: bool
    scales: str
    bias: bool
    packing: str
    block: tuple[int, int] | None = None


@dataclass(frozen=True)
class PlainGroup:
    """Tensors that are not part of a packed weight, alike but for the number of their layer."""

    pattern: str
    count: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Outcome:
    """What ``convert`` with one target would write.

    Attributes:
        target: ``"dense"`` or ``"affine"``.
        refused: None, or why this target is not possible, while others may be.
        dense, affine: number of packed modules by the form they would be given.
        nbytes: size of the weights.
        not_affine: why modules are decoded to dense for an affine target, with their number.
        dropped: why tensors are left out, with their number.
        notes: what to know of the result.
        memory: size of the parameters that mlx-lm makes of the weights.
        exact: how exact it is, in sentences.
        permute: whether act-order modules stay packed, as ``load`` and ``run`` keep them, and ``convert --permute``.
        permuted: number of those.
    """

    target: Literal["dense", "affine"]
    refused: str | None = None
    dense: int = 0
    affine: int = 0
    nbytes: int = 0
    not_affine: dict[str, int] | None = None
    dropped: dict[str, int] | None = None
    notes: tuple[str, ...] = ()
    memory: int = 0
    exact: tuple[str, ...] = ()
    permute: bool = False
    permuted: int = 0


@dataclass(frozen=True)
class Answer:
    """What a person asks first; how large and how exact it will be, the outcomes say.

    Attributes:
        runs: whether mlx-lm runs it on this machine, with the target that ``auto`` chooses.
        why: in a sentence.
        machine: bytes of memory that this machine has, or None.
        next: commands to type now.
    """

    runs: bool
    why: str
    machine: int | None
    next: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect` found; :meth:`to_dict` is the JSON of ``mlx-quant inspect --json``.

    Attributes:
        source: the path or repo id.
        commit: of a Hub repo.
        read: ``"data"`` if scales, zero points, group indices and biases were read, else ``"headers"``.
        model_type: of ``config.json``.
        in_mlx_lm: whether mlx-lm has such a model.
        scheme: the fields of :class:`Scheme`, and its ``method``; per-module truth is in ``modules``.
        sources: the files and keys that the scheme comes from.
        modules: packed modules.
        plain: the other tensors.
        lm_head: ``"packed"``, ``"plain"`` or ``"none"``.
        tied: ``tie_word_embeddings``.
        shards: safetensors files that are read.
        nbytes: size of the tensors as they are stored.
        auto: what ``target="auto"`` chooses to run; ``convert`` chooses so with ``--permute``, and else dense if
            modules are act-order.
        outcomes: what each target would write; affine twice where act-order modules may stay packed or not.
        warnings: what deserves a look.
        answer: whether it runs here, and what to type next.
    """

    source: str
    commit: str | None
    read: Literal["data", "headers"]
    model_type: str | None
    in_mlx_lm: bool
    scheme: dict[str, Any]
    sources: tuple[str, ...]
    modules: tuple[ModuleGroup, ...]
    plain: tuple[PlainGroup, ...]
    lm_head: Literal["packed", "plain", "none"]
    tied: bool
    shards: tuple[str, ...]
    nbytes: int
    auto: Literal["dense", "affine"]
    outcomes: tuple[Outcome, ...]
    warnings: tuple[str, ...]
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@typed
def inspect(
    path_or_repo: str | os.PathLike[str],
    *,
    data: bool | None = None,
    candidates: bool = False,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Inspection:
    """Look at a checkpoint and plan its conversions.

    Args:
        path_or_repo: folder or Hub repo id.
        data: whether to read what a plan depends on (scales, zero points, group indices, biases), or to believe the
            configuration; None reads where the files are local, so that nothing of a Hub repo but its headers is
            downloaded.
        candidates, revision, cache_dir, local_files_only: as for :meth:`Checkpoint.open`.

    Raises: as :func:`mlx_quant.convert` would, before it writes.
    """
    options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only}
    checkpoint = Checkpoint.open(path_or_repo, candidates=candidates, **options)
    files = checkpoint.files
    read = isinstance(files, Folder) if data is None else data
    if read:
        files.fetch(checkpoint.shards)
    else:
        checkpoint = Outline(checkpoint)
    config = config_for(checkpoint.config)
    architecture = Architecture.of(config)
    named = as_mlx_lm_names(checkpoint, config) if architecture else checkpoint
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantWarning)
        auto = make_plan(named, architecture, "auto", None, None, permute=True).target
        outcomes = tuple(_outcomes(named, architecture))
        modules = tuple(_module_groups(checkpoint))
    # The last of a target is the one that permutes, if any does.
    chosen = [outcome for outcome in outcomes if outcome.target == auto][-1]
    runs, why = _runs(checkpoint, architecture, chosen.memory)
    asked = _spelled(candidates, revision, cache_dir, local_files_only)
    return Inspection(
        source=checkpoint.label,
        commit=getattr(files, "commit", None),
        read="data" if read else "headers",
        model_type=checkpoint.config.get("model_type"),
        in_mlx_lm=architecture is not None,
        scheme=asdict(checkpoint.scheme) | {"method": checkpoint.scheme.method},
        sources=checkpoint.sources,
        modules=modules,
        plain=tuple(_plain_groups(checkpoint)),
        lm_head=_head(checkpoint),
        tied=ties_embeddings(checkpoint.config),
        shards=checkpoint.shards,
        nbytes=sum(info.nbytes for info in _infos(checkpoint)),
        auto=auto,
        outcomes=outcomes,
        warnings=(*checkpoint.warnings, *(() if read else (_FROM_HEADERS,))),
        answer=Answer(runs, why, machine_memory(), tuple(_next(checkpoint, runs, chosen, asked))),
    )


def _runs(checkpoint: Checkpoint, architecture: Architecture | None, memory: int) -> tuple[bool, str]:
    """Whether a model runs on this machine, and why."""
    release, model = _release(), checkpoint.config.get("model_type")
    if release is None:
        return False, "mlx-lm is not installed: pip install mlx-lm"
    if architecture is None:
        return False, f"mlx-lm {release} has no model {model!r}; a newer one may, and any module can be decoded"
    machine = machine_memory()
    if machine is not None and memory > machine:
        return False, f"{human(memory)} of weights do not fit into this machine's {human(machine)}"
    known, used = formats(), sorted({module.scheme.packing for module in checkpoint.modules.values()})
    told = [f"{name} is {known[name].status}" for name in used]
    return True, f"mlx-lm {release} has {model}, and {', '.join(told)}"


def _release() -> str | None:
    if mlx_lm_utils() is None:
        return None
    try:
        return version("mlx-lm")
    except PackageNotFoundError:
        return "(of no known release)"


def _spelled(
    candidates: bool, revision: str | None, cache_dir: str | os.PathLike[str] | None, offline: bool
) -> dict[str, list[str]]:
    """The options that the next command needs as well: those of every command, and those of where a repo is."""
    where = ["--revision", revision] if revision else []
    where += ["--cache-dir", os.fspath(cache_dir)] if cache_dir else []
    return {"all": ["--candidates"] if candidates else [], "where": where + (["--offline"] if offline else [])}


def _next(checkpoint: Checkpoint, runs: bool, chosen: Outcome, asked: dict[str, list[str]]) -> Iterator[str]:
    everything = asked["where"] + asked["all"]
    if runs:
        chat = has_chat_template(checkpoint.files)
        if asked["where"]:
            yield to_run_from(checkpoint.label, chat=chat, options=everything)
        else:
            yield to_run(checkpoint.label, chat=chat, packed=True, options=asked["all"])
    if chosen.permute:
        yield to_convert(checkpoint.label, "dense", everything)
        everything = ["--permute", *everything]
    yield to_convert(checkpoint.label, chosen.target, everything)


def _outcomes(checkpoint: Checkpoint, architecture: Architecture | None) -> Iterator[Outcome]:
    yield _outcome(checkpoint, architecture, "dense", False)
    yield _outcome(checkpoint, architecture, "affine", False)
    permuted = _outcome(checkpoint, architecture, "affine", True)
    if permuted.permuted:
        yield permuted


def _outcome(
    checkpoint: Checkpoint, architecture: Architecture | None, target: Literal["dense", "affine"], permute: bool
) -> Outcome:
    try:
        plan = make_plan(checkpoint, architecture, target, None, None, permute=permute)
    except ConversionError as error:
        return Outcome(target, refused=str(error), permute=permute)
    return Outcome(
        target,
        dense=sum(step.kind == "dense" for step in plan.steps),
        affine=sum(step.kind == "affine" for step in plan.steps),
        nbytes=plan.nbytes,
        not_affine=dict(Counter(plan.not_affine.values())),
        dropped=dict(Counter(plan.dropped.values())),
        notes=tuple(plan.notes),
        memory=plan.memory,
        exact=tuple(plan.exact),
        permute=permute,
        permuted=sum(step.kind == "affine" and step.permuted for step in plan.steps),
    )


def _module_groups(checkpoint: Checkpoint) -> Iterator[ModuleGroup]:
    spelled = {dtype: name for name, dtype in DTYPES.items()}
    found: Counter[tuple[Any, ...]] = Counter()
    for name, module in checkpoint.modules.items():
        shape, scheme = module.shape, module.scheme
        ordered, scales = checkpoint.examine(name).act_order, spelled[module.dtype]
        bias = BIAS in module.tensors
        alike = (shape, scheme.bits, scheme.group_size, ordered, scales, bias, scheme.packing, scheme.block)
        found[(_pattern(name), *alike)] += 1
    for (pattern, *rest), count in found.items():
        yield ModuleGroup(pattern, count, *rest)


def _plain_groups(checkpoint: Checkpoint) -> Iterator[PlainGroup]:
    found = Counter((_pattern(name), info.shape, info.dtype) for name, info in checkpoint.plain.items())
    for (pattern, shape, dtype), count in found.items():
        yield PlainGroup(pattern, count, shape, dtype)


def _infos(checkpoint: Checkpoint) -> Iterator[TensorInfo]:
    yield from checkpoint.plain.values()
    for module in checkpoint.modules.values():
        yield from module.tensors.values()


def _head(checkpoint: Checkpoint) -> Literal["packed", "plain", "none"]:
    if any(name.rpartition(".")[2] == "lm_head" for name in checkpoint.modules):
        return "packed"
    return "plain" if any(name.endswith("lm_head.weight") for name in checkpoint.plain) else "none"


def _pattern(name: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)
