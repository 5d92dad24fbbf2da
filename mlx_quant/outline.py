"""A checkpoint of which only the headers are known: enough to plan a conversion without downloading weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import mlx.core as mx

from .checkpoint import Checkpoint, PackedModule
from .config import Scheme
from .files import Files, TensorInfo


class Outline(Checkpoint):
    """An open checkpoint whose tensors are stand-ins: shapes and dtypes from the headers, and the plainest values.

    A group index is what ``desc_act`` promises, zero points are in the middle, everything else is zero. So whatever
    is planned from an outline holds if the data are as the configuration says.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        vars(self).update(vars(checkpoint))
        self.files: Files = _Unfetched(checkpoint.files)
        self._owners = {
            info.name: (leaf, module) for module in self.modules.values() for leaf, info in module.tensors.items()
        }

    def tensor(self, name: str) -> mx.array:
        info = self._tensors[name]
        leaf, module = self._owners.get(name, (None, None))
        if module is not None and leaf == "g_idx":
            return _group_index(module)
        if module is not None and leaf == "qzeros":
            return _middle(module.scheme, info)
        return mx.zeros(info.shape, info.mlx_dtype)


def promises_act_order(module: PackedModule) -> bool:
    """Whether the configuration and the headers together say that this module's inputs are out of order."""
    return bool(module.scheme.desc_act) and "g_idx" in module.tensors and module.tensors["scales"].shape[0] > 1


def _group_index(module: PackedModule) -> mx.array:
    groups = module.tensors["scales"].shape[0]
    channels = mx.arange(module.in_features, dtype=mx.int32)
    size = module.scheme.group_size if module.scheme.group_size > 0 else module.in_features
    index = channels % groups if promises_act_order(module) else channels // size
    return index.astype(module.tensors["g_idx"].mlx_dtype)


def _middle(scheme: Scheme, info: TensorInfo) -> mx.array:
    """Packed zero points as symmetric weights have them under the layout that the configuration names."""
    field = (1 << (scheme.bits - 1)) - (1 if scheme.layout == "gptq" else 0)
    word = sum(field << shift for shift in range(0, 32 - scheme.bits + 1, scheme.bits)) & 0xFFFFFFFF
    return mx.full(info.shape, word, dtype=mx.uint32).view(info.mlx_dtype)


class _Unfetched:
    """The same files, of which nothing more is downloaded."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.label, self.repo_id, self.names = files.label, files.repo_id, files.names

    @property
    def folder(self) -> Path:
        return self._files.folder

    def path(self, name: str) -> Path:
        return self._files.path(name)

    def header(self, name: str) -> dict[str, TensorInfo]:
        return self._files.header(name)

    def fetch(self, names: Iterable[str]) -> None:
        """Stand-ins need no weights."""
