"""From a packed checkpoint to a running mlx-lm model."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx

from ..checkpoint.checkpoint import Checkpoint
from ..checkpoint.sources import claims_permuted
from ..conversion.convert import convert
from ..conversion.job import ConversionReport, Job
from ..conversion.plan import Target
from ..conversion.portable import check_files
from ..errors import UnsupportedFormat
from ..files.faults import typed
from ..files.folder import Files, Folder
from ..files.hub import resolve
from ..models.architecture import Architecture
from ..models.config import config_for
from .assemble import decoded, is_plain
from .converted import Converted
from .scratch import Scratch
from .tokenizer import ends_of, load_adapters, load_tokenizer
from .way import REQUANTIZE, Way, require

_log = logging.getLogger("mlx_quant")


@typed
def load(
    path_or_repo: str | os.PathLike[str],
    *,
    target: Target = "auto",
    requantize: bool | Mapping[str, int] = False,
    dtype: mx.Dtype | str | None = None,
    params_dtype: mx.Dtype | str | None = None,
    permute: bool = True,
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

    Modules are decoded one after the other into the model that mlx-lm would load from the converted folder; nothing is
    written. With ``requantize`` or ``lazy``, and where ``model_config`` says how mlx-lm is to load, a converted copy is
    written to a temporary folder (``TMPDIR`` says where) and removed, also after an error or Ctrl-C.

    The report stays on the model as ``_conversion``, beside ``_hf_repo`` (what was asked for: load it again by that)
    and ``_src_path`` (the folder of the packed files).

    Args:
        path_or_repo: folder or Hub repo id; of what ``convert(permute=True)`` wrote as well, with no options then.
        target: ``"dense"``, ``"affine"`` (packed, codes as they are), or ``"auto"``: affine if MLX's packed form holds
            every module, else dense.
        requantize: decode to dense, then quantise to MLX's affine form, as a base for LoRA: True for 4 bits in groups
            of 64, or a mapping with ``bits`` and ``group_size``. The weights are rounded twice.
        dtype, params_dtype: as for :func:`convert`.
        permute: keep act-order modules packed, as layers that put their inputs in order; else they are dense.
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
    way = Way(target, requantize, dtype, params_dtype, candidates, progress, permute)
    options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only}
    require(way)
    opened = open_packed(resolve(path_or_repo, **options), candidates, model_config)
    tokenizer = opened.tokenizer(tokenizer_config)
    model, _ = opened.model(way, adapter_path=adapter_path, lazy=lazy, name=os.fspath(path_or_repo))
    return model, tokenizer


def open_packed(files: Files, candidates: bool, model_config: dict[str, Any] | None) -> Opened | Converted:
    """A packed checkpoint, or a conversion of one that plain mlx-lm refuses; raises as either does."""
    if "config.json" in files.names and claims_permuted(files.folder):
        return Converted(files, model_config)
    return Opened(Checkpoint(files, candidates=candidates), model_config)


class Opened:
    """A packed checkpoint whose architecture mlx-lm has.

    Args:
        checkpoint: as opened.
        model_config: keys that replace those of ``config.json``, as for ``mlx_lm.load``.

    Raises UnsupportedFormat ``unsupported-architecture``, and as :func:`config_for`.
    """

    def __init__(self, checkpoint: Checkpoint, model_config: dict[str, Any] | None = None) -> None:
        self.checkpoint, self._model_config = checkpoint, model_config
        self._config = config_for(checkpoint.config) | (model_config or {})
        self._architecture = Architecture.of(self._config)
        if self._architecture is None:
            raise UnsupportedFormat(
                "unsupported-architecture",
                f"mlx-lm has no model {self._config.get('model_type')!r}; use a newer mlx-lm, or convert() and another "
                "loader",
                where="config.json: model_type",
            )

    @typed
    def tokenizer(self, tokenizer_config: Mapping[str, Any] | None) -> Any:
        """Its tokenizer; raises as :func:`load_tokenizer`."""
        ends = ends_of(self.checkpoint.files) or self._config.get("eos_token_id")
        return load_tokenizer(self.checkpoint.files, tokenizer_config, ends)

    @typed
    def model(self, way: Way, *, adapter_path: str | None, lazy: bool, name: str) -> tuple[Any, dict[str, Any]]:
        """The model, and its config as mlx-lm has it.

        Args:
            way: how.
            adapter_path, lazy: as for :func:`load`.
            name: what was asked for, for the model to remember.

        Raises as :func:`load`.
        """
        require(way)
        # What is read later, or quantised again before it is all read, lies on the disk meanwhile, not in memory.
        plain = is_plain(self._model_config)
        direct = plain and not (lazy or way.requantize)
        way = way if plain else replace(way, permute=False)
        with ExitStack() as cleanup:
            if direct:
                job = Job.settled(
                    self.checkpoint,
                    way.target,
                    way.dtype,
                    way.params_dtype,
                    permute=way.permute,
                    known=self._architecture,
                )
                check_files(self.checkpoint.files)
                model, loaded = decoded(job, self._model_config, progress=way.progress)
                report = job.report()
            else:
                scratch = Scratch()
                cleanup.callback(scratch.cleanup)
                model, loaded, report = self._by_way_of(scratch.converted, way)
            if adapter_path is not None:
                model = load_adapters(model, adapter_path)
            for text in (*(() if way.requantize else report.exact), *report.warnings, *report.notes):
                _log.info("%s: %s", report.source, text)
            model._hf_repo, model._src_path = name, str(self.checkpoint.files.folder)
            model._conversion = report
            if not lazy:
                mx.eval(model.parameters())
            elif not direct:
                cleanup.pop_all()
                weakref.finalize(model, scratch.cleanup)
        return model, loaded

    def _by_way_of(self, folder: Path, way: Way) -> tuple[Any, dict[str, Any], ConversionReport]:
        """The model, of which nothing is read yet, its config, and the report of the conversion into ``folder``."""
        utils = require(way)
        report = convert(
            self.checkpoint,
            folder,
            target="dense" if way.requantize else way.target,
            dtype=way.dtype,
            params_dtype=way.params_dtype,
            permute=way.permute,
            progress=way.progress,
            durable=False,
        )
        if report.permuted:
            written = Converted(Folder(folder), self._model_config)
            return *written.model(Way(), adapter_path=None, lazy=True, name=""), report
        model, loaded = utils.load_model(folder, lazy=True, model_config=self._model_config, trust_remote_code=False)
        if way.requantize:
            affine = {**REQUANTIZE, **way.requantize} if isinstance(way.requantize, Mapping) else REQUANTIZE
            _log.warning(
                "%s: weights are rounded twice: once by whoever packed them, and again to %d bits in groups of %d",
                report.source,
                affine["bits"],
                affine["group_size"],
            )
            model, loaded = utils.quantize_model(model, loaded, affine["group_size"], affine["bits"])
        return model, loaded, report
