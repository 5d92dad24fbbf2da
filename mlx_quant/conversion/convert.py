"""From a packed checkpoint to one that ``mlx_lm.load`` reads, a module at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
from tqdm.auto import tqdm

from ..checkpoint.checkpoint import Checkpoint
from ..errors import ConversionError
from ..files.faults import typed
from ..models.architecture import Shapes
from .job import ConversionReport, Job, require
from .output import ShardWriter, atomic_folder, refuse_existing, refuse_place, refuse_without_space, write_json
from .plan import Plan, Target
from .portable import copied_names, copy_files

MAX_SHARD_BYTES = 1 << 30


@typed
def convert(
    src: str | os.PathLike[str] | Checkpoint,
    dst: str | os.PathLike[str],
    *,
    target: Target = "dense",
    dtype: mx.Dtype | str | None = None,
    params_dtype: mx.Dtype | str | None = None,
    permute: bool = False,
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

    Memory stays at a few times the largest module, whatever the size of the model and of its shards. ``dst`` appears
    complete or not at all.

    Args:
        src: folder, Hub repo id, or an open checkpoint.
        dst: folder to create.
        target: ``"dense"`` for float weights, ``"affine"`` for MLX's packed form with the codes and scales of the
            source (modules that it cannot hold are decoded to dense and reported), ``"auto"`` for affine if that
            holds every module, else dense.
        dtype: of decoded weights and of all other float tensors; None leaves decoded weights the dtype of their
            scales and everything else its own.
        params_dtype: of scales and biases of packed modules; see :meth:`mlx_quant.weights.integer.Integer.native`.
        permute: keep act-order modules packed as well, each with the permutation of its inputs. Such a folder loads
            with :func:`mlx_quant.load` and under :func:`mlx_quant.enable`; plain mlx-lm refuses it. Without, act-order
            modules are decoded to dense, for any mlx-lm.
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
    require(target, dtype, params_dtype)
    destination = Path(os.path.expanduser(dst))
    refuse_place(destination)
    refuse_existing(destination, overwrite=overwrite)
    if not isinstance(src, Checkpoint):
        where: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only}
        src = Checkpoint.open(src, candidates=candidates, **where)
    if src.files.folder.is_relative_to(os.path.realpath(destination)):
        raise ConversionError("bad-target", "would replace the source; choose another folder", where=str(destination))
    job = Job.settled(src, target, dtype, params_dtype, permute=permute)
    plan = job.plan
    copied = sum(src.files.path(name).stat().st_size for name in copied_names(src.files))
    refuse_without_space(destination, plan.nbytes + copied)
    with atomic_folder(destination, overwrite=overwrite, durable=durable) as folder:
        with (
            ShardWriter(folder, list(_shards(plan, max_shard_bytes))) as writer,
            tqdm(total=plan.nbytes, unit="B", unit_scale=True, disable=not progress, desc="Converting") as bar,
        ):
            for step, tensors in job.all_tensors():
                writer.add(tensors)
                bar.update(step.nbytes)
            # While the last of it is written.
            write_json(folder / "config.json", job.config)
            copy_files(src.files, folder)
            writer.finish(sum(step.parameters for step in plan.steps))
        src.require_unchanged()
    return job.report(str(destination), tuple(writer.files))


def _shards(plan: Plan, max_bytes: int) -> Iterator[Shapes]:
    """Tensors of consecutive steps, as many as fit; a step larger than ``max_bytes`` gets a shard of its own."""
    shapes: dict[str, tuple[tuple[int, ...], mx.Dtype]] = {}
    size = 0
    for step in plan.steps:
        if shapes and size + step.nbytes > max_bytes:
            yield shapes
            shapes, size = {}, 0
        shapes |= step.outputs
        size += step.nbytes
    yield shapes
