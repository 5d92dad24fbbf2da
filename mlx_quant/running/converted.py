"""A folder that ``convert`` wrote with act-order modules packed, which plain mlx-lm refuses: read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import mlx.core as mx

from ..checkpoint.sources import refuse_code, refuse_layers
from ..errors import ConversionError, MalformedCheckpoint, UnsupportedFormat
from ..files.faults import typed
from ..files.folder import DTYPES, Files, TensorInfo, read_json
from ..files.shards import locate
from ..models.architecture import Architecture
from ..weights.native import PERMUTATION
from .assemble import as_mlx_lm_reads_it, assembled, is_plain
from .tokenizer import load_adapters, load_tokenizer
from .way import Way, require


class Converted:
    """Such a folder, opened by its headers.

    Args:
        files: its files.
        model_config: keys that replace those of ``config.json``, as for ``mlx_lm.load``.

    Raises:
        UnsupportedFormat: ``unsupported-architecture``, ``unsupported-dtype``, ``untrusted-code``.
        MalformedCheckpoint: as :func:`locate` and :func:`read_json`; ``missing-tensor``, ``bad-dtype``.
        ConversionError: ``bad-target``, a ``model_config`` that says how mlx-lm is to load.
    """

    def __init__(self, files: Files, model_config: Mapping[str, Any] | None = None) -> None:
        config = read_json(files, "config.json") or {}
        refuse_code(config)
        if not is_plain(model_config):
            raise ConversionError("bad-target", "model_config may not say how packed weights are read here")
        weights = locate(files, {})
        refuse_layers(config, len(weights.tensors))
        self.files, self._shards = files, weights.shards
        self._config = as_mlx_lm_reads_it(config, files) | dict(model_config or {})
        for info in weights.tensors.values():
            _refuse_dtype(info)
        architecture = Architecture.of(self._config)
        if architecture is None:
            raise UnsupportedFormat(
                "unsupported-architecture",
                f"mlx-lm has no model {self._config.get('model_type')!r}; use a newer mlx-lm",
                where="config.json: model_type",
            )
        shapes = {name: (info.shape, info.mlx_dtype) for name, info in weights.tensors.items()}
        architecture.require(architecture.fit(shapes))

    @typed
    def tokenizer(self, tokenizer_config: Mapping[str, Any] | None) -> Any:
        """Its tokenizer; raises as :func:`load_tokenizer`."""
        return load_tokenizer(self.files, tokenizer_config, self._config.get("eos_token_id"))

    @typed
    def model(self, way: Way, *, adapter_path: str | None, lazy: bool, name: str) -> tuple[Any, dict[str, Any]]:
        """The model, and its config as mlx-lm has it. Arguments as of :meth:`mlx_quant.running.load.Opened.model`.

        Raises:
            ConversionError: ``bad-target`` where ``way`` asks for another form than the folder has.
            MalformedCheckpoint: ``bad-shape``, ``group-index-out-of-range``, ``config-contradiction``,
                ``bad-adapters``.
        """
        require(way)
        if way.target == "dense" or way.requantize or way.dtype or way.params_dtype or not way.permute:
            text = "was converted, and stays in its form; convert its source again, and give the options then"
            raise ConversionError("bad-target", text, where=self.files.label)
        self.files.fetch(self._shards)
        weights: dict[str, mx.array] = {}
        for shard in self._shards:
            weights |= cast(dict[str, mx.array], mx.load(str(self.files.path(shard)), format="safetensors"))
        for key, array in weights.items():
            if key.endswith(f".{PERMUTATION}"):
                _refuse_unless_permutation(key, array)
        try:
            model = assembled(self._config, weights)
        except (ValueError, TypeError, KeyError) as error:
            told = " ".join(str(error).split())[:500]
            text = f"does not fit the tensors ({told}); convert the source again"
            raise MalformedCheckpoint("config-contradiction", text, where="config.json: quantization") from error
        if adapter_path is not None:
            model = load_adapters(model, adapter_path)
        model._hf_repo, model._src_path, model._conversion = name, str(self.files.folder), None
        if not lazy:
            mx.eval(model.parameters())
        return model, self._config


def _refuse_dtype(info: TensorInfo) -> None:
    if info.dtype not in DTYPES:
        raise UnsupportedFormat("unsupported-dtype", f"dtype {info.dtype}", where=f"{info.file}: {info.name}")
    if info.name.endswith(f".{PERMUTATION}") and info.dtype != "I32":
        text = f"dtype {info.dtype}, expected I32; convert the source again"
        raise MalformedCheckpoint("bad-dtype", text, where=f"{info.file}: {info.name}")


def _refuse_unless_permutation(name: str, array: mx.array) -> None:
    """MalformedCheckpoint unless each number below its length is in it once: MLX does not look where it gathers."""
    if array.ndim != 1:
        raise MalformedCheckpoint("bad-shape", f"shape {list(array.shape)}, expected one axis", where=name)
    if not mx.array_equal(mx.sort(array), mx.arange(array.size, dtype=mx.int32)).item():
        text = "is no permutation of the inputs; convert the source again"
        raise MalformedCheckpoint("group-index-out-of-range", text, where=name)
