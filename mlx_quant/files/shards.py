"""Which safetensors files hold the weights, and which tensor lies in which: the index is believed, then checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat
from .folder import Files, TensorInfo, checked_name, read_json

_INDEX = ".safetensors.index.json"
# Formats that run code when they are read, or that are another loader's business.
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".bin.index.json", ".h5", ".msgpack", ".gguf")


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint.

    Attributes:
        tensors: name to header entry, in file order.
        shards: the files that hold them, in order.
        ignored: safetensors files beside them that belong to something else.
        said: the ``__metadata__`` of each shard.
    """

    tensors: dict[str, TensorInfo]
    shards: tuple[str, ...]
    ignored: tuple[str, ...]
    said: tuple[Mapping[str, str], ...] = ()


def locate(files: Files, quantization_config: Mapping[str, Any]) -> Weights:
    """Find the weights and read their headers.

    An index decides alone. Without one there must be a single file, or one whose name the config
    (``model_file_base_name``) or custom (``model.safetensors``) singles out.

    Raises:
        MalformedCheckpoint: ``missing-file``, ``stale-index``, ``unsafe-path``, ``truncated-file``, ``bad-file``.
        UnsupportedFormat: ``unsafe-weights`` when all weights are pickled; they are never unpickled.
    """
    present = [name for name in files.names if name.endswith(".safetensors") and "/" not in name]
    indices = [name for name in files.names if name.endswith(_INDEX) and "/" not in name]
    if len(indices) > 1 and "model" + _INDEX in indices:
        indices = ["model" + _INDEX]
    if len(indices) > 1:
        raise MalformedCheckpoint("stale-index", f"several indices: {', '.join(indices)}; keep one", where=indices[0])
    if indices:
        return _by_index(files, indices[0], present)
    chosen = _only_file(files, present, quantization_config)
    ignored = tuple(name for name in present if name != chosen)
    header = files.header(chosen)
    return Weights(header, (chosen,), ignored, (header.said,))


def _by_index(files: Files, index: str, present: list[str]) -> Weights:
    weight_map = (read_json(files, index) or {})["weight_map"]
    shards = sorted({checked_name(file) for file in weight_map.values()})
    for shard in shards:
        if shard not in files.names:
            raise MalformedCheckpoint(
                "missing-file", f"named by {index}, not found in {files.label}; download it again", where=shard
            )
    tensors: dict[str, TensorInfo] = {}
    headers = []
    for shard in shards:
        header = files.header(shard)
        headers.append(header.said)
        for name, info in header.items():
            if weight_map.get(name) != shard:
                claimed = weight_map.get(name)
                said = f"{index} puts it in {claimed}" if claimed else f"{index} does not list it"
                raise MalformedCheckpoint(
                    "stale-index", f"tensor {name} is in this file, but {said}; fetch matching files", where=shard
                )
            tensors[name] = info
    if absent := [name for name in weight_map if name not in tensors]:
        raise MalformedCheckpoint(
            "stale-index",
            f"puts {absent[0]} in {weight_map[absent[0]]}, which lacks it ({len(absent)} such); fetch matching files",
            where=index,
        )
    return Weights(tensors, tuple(shards), tuple(name for name in present if name not in shards), tuple(headers))


def _only_file(files: Files, present: list[str], quantization_config: Mapping[str, Any]) -> str:
    present = [name for name in present if not name.startswith("adapter_")]
    if not present:
        _refuse_other_weights(files)
    if len(present) == 1:
        return present[0]
    for base in (quantization_config.get("model_file_base_name"), "model"):
        if f"{base}.safetensors" in present:
            return f"{base}.safetensors"
    raise MalformedCheckpoint(
        "missing-file",
        f"{len(present)} safetensors files ({present[0]}, ...) and no index says which belong together; download it",
        where="model" + _INDEX,
    )


def _refuse_other_weights(files: Files) -> None:
    others = [name for name in files.names if name.endswith(_OTHER_WEIGHTS)]
    if others:
        raise UnsupportedFormat(
            "unsafe-weights",
            "not read: unpickling runs code, and only safetensors are decoded here; use a safetensors export",
            where=others[0],
        )
    adapter = "adapter_config.json" in files.names
    raise MalformedCheckpoint(
        "missing-file",
        "these are adapters; load their base model, then the adapters" if adapter else f"no weights in {files.label}",
        where="model.safetensors",
    )
