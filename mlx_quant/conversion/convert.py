"""From a packed checkpoint to one that ``mlx_lm.load`` reads, a module at a time."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import mlx.core as mx
from tqdm.auto import tqdm

from ..checkpoint.checkpoint import Checkpoint
from ..errors import ConversionError, QuantWarning
from ..files.faults import typed
from .architecture import Architecture
from .output import ShardWriter, atomic_folder, refuse_existing, refuse_place, refuse_without_space, write_json
from .plan import FLOATS, Plan, Target, make_plan
from .portable import config_for, copied_names, copy_files
from .seam import Step

MAX_SHARD_BYTES = 1 << 30


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        source, destination: path or repo id, and folder.
        target: ``"dense"`` or ``"affine"``.
        dense, affine: packed modules by the form they were given.
        plain: number of tensors that were not packed and were copied.
        not_affine: modules of an affine target that had to be decoded to dense, and why.
        dropped: tensors left out, and why.
        changed: tensors that mlx-lm does not just move to a parameter as it loads, and what it computes. Packed modules
            are dense then.
        notes: what to know of the result.
        warnings: what to look at in the source; see :attr:`Checkpoint.warnings`.
        files: shards written.
        nbytes: size of the weights written.
        seconds: wall time.
        memory: size of the parameters that mlx-lm makes of them.
        exact: how exact it is, in sentences.
        in_mlx_lm: whether mlx-lm has such a model.
    """

    source: str
    destination: str
    target: Literal["dense", "affine"]
    dense: tuple[str, ...]
    affine: tuple[str, ...]
    plain: int
    not_affine: dict[str, str]
    dropped: dict[str, str]
    changed: dict[str, str]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[str, ...]
    nbytes: int
    seconds: float
    memory: int
    exact: tuple[str, ...]
    in_mlx_lm: bool

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@typed
def convert(
    src: str | os.PathLike[str] | Checkpoint,
    dst: str | os.PathLike[str],
    *,
    target: Target = "dense",
    dtype: mx.Dtype | str | None = None,
    params_dtype: mx.Dtype | str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    candidates: bool = False,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    durable: bool = True,
) -> ConversionReport:
    """Write a packed checkpoint as a plain MLX one: weights, index, config and tokenizer.

    Memory stays below one shard plus a few times the largest module, whatever the size of the model. ``dst`` appears
    complete or not at all.

    Args:
        src: folder, Hub repo id, or an open checkpoint.
        dst: folder to create.
        target: ``"dense"`` for float weights, ``"affine"`` for MLX's packed form with the codes and scales of the
            source (modules that it cannot hold, act-order ones above all, are decoded to dense and reported),
            ``"auto"`` for affine if that holds every module, else dense.
        dtype: of decoded weights and of all other float tensors; None leaves decoded weights the dtype of their
            scales and everything else its own.
        params_dtype: of scales and biases of packed modules; see :meth:`mlx_quant.weights.integer.Integer.native`.
        overwrite: replace a folder that is not empty.
        progress: show a bar on stderr.
        max_shard_bytes: size above which a new shard is begun, in bytes.
        candidates, revision, cache_dir, local_files_only: as for :meth:`Checkpoint.open`; an open one has its own.
        durable: wait until everything is on the disk, so that ``dst`` is whole even after a power cut.

    Biases: one is left out only if it belongs to a packed module, is all zero, and mlx-lm's model has no such
    parameter. Without mlx-lm, or for a model that it has not, every bias is kept.

    Raises:
        UnsupportedFormat, MalformedCheckpoint: as :meth:`Checkpoint.open` and :func:`dequantize`, and
            ``unsupported-bias``.
        ConversionError: ``destination-exists``, ``destination-busy``, ``no-space``, ``bad-target``, ``overflow``,
            ``source-changed``, ``write-failed``, ``no-memory``.
    """
    started = time.monotonic()
    dense_dtype, affine_dtype = float_dtype(dtype), float_dtype(params_dtype)
    if target not in ("auto", "dense", "affine"):
        raise ConversionError("bad-target", f"target is {target!r}, expected 'dense', 'affine' or 'auto'")
    destination = Path(os.path.expanduser(dst))
    refuse_place(destination)
    refuse_existing(destination, overwrite=overwrite)
    if not isinstance(src, Checkpoint):
        where: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only}
        src = Checkpoint.open(src, candidates=candidates, **where)
    if src.files.folder.is_relative_to(os.path.realpath(destination)):
        raise ConversionError("bad-target", "would replace the source; choose another folder", where=str(destination))
    config = config_for(src.config, dtype=str(dense_dtype).rpartition(".")[2] if dense_dtype else None)
    architecture = Architecture.of(config)
    plan = make_plan(src, architecture, target, dense_dtype, affine_dtype)
    if target == "affine" and plan.not_affine:
        text = f"{len(plan.not_affine)} of {len(src.modules)} modules have no packed form in MLX and become dense"
        warnings.warn(f"{src.label}: {text}; the report says why", QuantWarning, stacklevel=2)
    copied = sum(src.files.path(name).stat().st_size for name in copied_names(src.files))
    refuse_without_space(destination, plan.nbytes + copied)
    with atomic_folder(destination, overwrite=overwrite, durable=durable) as folder:
        writer = ShardWriter(folder, list(_shards(plan, max_shard_bytes)))
        with tqdm(total=plan.nbytes, unit="B", unit_scale=True, disable=not progress, desc="Converting") as bar:
            for step in plan.steps:
                writer.add(_tensors(src, step, dense_dtype, affine_dtype))
                bar.update(step.nbytes)
        writer.finish(sum(step.parameters for step in plan.steps))
        if plan.quantization:
            config["quantization"] = plan.quantization
        write_json(folder / "config.json", config)
        copy_files(src.files, folder)
        src.require_unchanged()
    return ConversionReport(
        source=src.label,
        destination=str(destination),
        target=plan.target,
        dense=tuple(step.name for step in plan.steps if step.kind == "dense"),
        affine=tuple(step.name for step in plan.steps if step.kind == "affine"),
        plain=sum(step.kind == "plain" for step in plan.steps),
        not_affine=plan.not_affine,
        dropped=plan.dropped,
        changed=plan.changed,
        notes=tuple(plan.notes),
        warnings=tuple(src.warnings),
        files=tuple(writer.files),
        nbytes=writer.total_size,
        seconds=time.monotonic() - started,
        memory=plan.memory,
        exact=tuple(plan.exact),
        in_mlx_lm=architecture is not None,
    )


def float_dtype(value: mx.Dtype | str | None) -> mx.Dtype | None:
    """``value`` as a dtype; ConversionError ``bad-target`` unless float16, bfloat16 or float32."""
    if value is None:
        return None
    name = str(value).rpartition(".")[2]
    if name not in FLOATS:
        raise ConversionError("bad-target", f"dtype is {value!r}, expected one of {', '.join(FLOATS)}")
    return FLOATS[name]


def _tensors(
    checkpoint: Checkpoint, step: Step, dtype: mx.Dtype | None, params_dtype: mx.Dtype | None
) -> dict[str, mx.array]:
    """The tensors of one step, evaluated."""
    if step.kind == "affine":
        parts = checkpoint.native(step.name, params_dtype).arrays
        tensors = {f"{step.name}.{leaf}": array for leaf, array in parts.items()}
        narrowed = params_dtype is not None
    elif step.kind == "dense":
        weight = checkpoint.dequantize(step.name, dtype)
        tensors = {f"{step.name}.weight": mx.contiguous(weight.T) if step.transposed else weight}
        narrowed = dtype is not None
    else:
        stored, (_, wanted) = checkpoint.tensor(step.name), step.outputs[step.name]
        tensors = {step.name: stored.astype(wanted)}
        narrowed = stored.dtype != wanted
    mx.eval(tensors)
    for name, array in tensors.items():
        if narrowed and array.dtype == mx.float16 and not mx.isfinite(array).all().item():
            raise ConversionError("overflow", "holds values beyond float16's 65504; use bfloat16", where=name)
    return tensors


def _shards(plan: Plan, max_bytes: int) -> Iterator[list[str]]:
    """Names of consecutive steps, as many as fit; a step larger than ``max_bytes`` gets a shard of its own."""
    names: list[str] = []
    size = 0
    for step in plan.steps:
        if names and size + step.nbytes > max_bytes:
            yield names
            names, size = [], 0
        names += step.outputs
        size += step.nbytes
    yield names
