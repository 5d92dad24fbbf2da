"""From a packed checkpoint to a running mlx-lm model."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import mlx.core as mx

from ..checkpoint.checkpoint import Checkpoint
from ..conversion.architecture import Architecture, mlx_lm_utils
from ..conversion.convert import convert
from ..conversion.plan import Target
from ..conversion.portable import config_for
from ..errors import ConversionError, UnsupportedFormat
from ..files.faults import typed
from ..files.folder import read_json
from .scratch import Scratch
from .tokenizer import load_adapters, load_tokenizer

_log = logging.getLogger("mlx_quant")

REQUANTIZE = {"group_size": 64, "bits": 4}


@typed
def load(
    path_or_repo: str | os.PathLike[str],
    *,
    target: Target = "auto",
    requantize: bool | Mapping[str, int] = False,
    dtype: mx.Dtype | str | None = None,
    params_dtype: mx.Dtype | str | None = None,
    candidates: bool = False,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    tokenizer_config: dict[str, Any] | None = None,
    model_config: dict[str, Any] | None = None,
    adapter_path: str | None = None,
    lazy: bool = False,
    progress: bool = False,
) -> tuple[Any, Any]:
    """Load a packed checkpoint as ``mlx_lm.load`` loads a plain one.

    A converted copy is written to a temporary folder (``TMPDIR`` says where), loaded by mlx-lm and removed, also after
    an error or Ctrl-C. Its report stays on the model as ``_conversion``, beside ``_hf_repo`` (what was asked for: load
    it again by that) and ``_src_path`` (the folder of the packed files).

    Args:
        path_or_repo: folder or Hub repo id.
        target: ``"dense"``, ``"affine"`` (packed, codes as they are), or ``"auto"``: affine if MLX's packed form holds
            every module, so not for act-order, else dense.
        requantize: decode to dense, then quantise to MLX's affine form, as a base for LoRA: True for 4 bits in groups
            of 64, or a mapping with ``bits`` and ``group_size``. The weights are rounded twice.
        dtype, params_dtype: as for :func:`convert`.
        candidates, revision, cache_dir, local_files_only: as for :meth:`Checkpoint.open`.
        tokenizer_config, model_config, adapter_path: as for ``mlx_lm.load``. Code from the repo runs only with
            ``tokenizer_config={"trust_remote_code": True}``, and only its tokenizer's; nobody is asked.
        lazy: do not read the weights yet; the temporary folder then stays as long as the model does.
        progress: show a bar for the conversion.

    Returns:
        The model and its tokenizer.

    Raises:
        UnsupportedFormat, MalformedCheckpoint, ConversionError: as :func:`convert`; ``missing-dependency`` without
            mlx-lm, ``unsupported-architecture`` for a model that it has not, ``untrusted-code``, ``bad-tokenizer``,
            ``bad-adapters``.
    """
    utils = mlx_lm_utils()
    if utils is None:
        raise ConversionError("missing-dependency", "loading a model needs mlx-lm: pip install mlx-lm")
    if requantize and target == "affine":
        raise ConversionError("bad-target", "requantize starts from dense weights; leave target at 'auto' or 'dense'")
    affine = {**REQUANTIZE, **requantize} if isinstance(requantize, Mapping) else REQUANTIZE
    options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only}
    checkpoint = Checkpoint.open(path_or_repo, candidates=candidates, **options)
    config = config_for(checkpoint.config) | (model_config or {})
    if Architecture.of(config) is None:
        raise UnsupportedFormat(
            "unsupported-architecture",
            f"mlx-lm has no model {config.get('model_type')!r}; use a newer mlx-lm, or convert() and another loader",
            where="config.json: model_type",
        )
    generation = read_json(checkpoint.files, "generation_config.json") or {}
    ends = generation.get("eos_token_id") or config.get("eos_token_id")
    tokenizer = load_tokenizer(checkpoint.files, tokenizer_config, ends)
    with ExitStack() as cleanup:
        scratch = Scratch()
        cleanup.callback(scratch.cleanup)
        report = convert(
            checkpoint,
            scratch.converted,
            target="dense" if requantize else target,
            dtype=dtype,
            params_dtype=params_dtype,
            progress=progress,
            durable=False,
        )
        model, loaded = utils.load_model(
            scratch.converted, lazy=True, model_config=model_config, trust_remote_code=False
        )
        if requantize:
            _log.warning(
                "%s: weights are rounded twice: once by whoever packed them, and again to %d bits in groups of %d",
                report.source,
                affine["bits"],
                affine["group_size"],
            )
            model, _ = utils.quantize_model(model, loaded, affine["group_size"], affine["bits"])
        if adapter_path is not None:
            model = load_adapters(model, adapter_path)
        for text in (*report.warnings, *report.notes):
            _log.info("%s: %s", report.source, text)
        model._hf_repo, model._src_path = os.fspath(path_or_repo), str(checkpoint.files.folder)
        model._conversion = report
        if lazy:
            cleanup.pop_all()
            weakref.finalize(model, scratch.cleanup)
        else:
            mx.eval(model.parameters())
    return model, tokenizer
