"""A checkpoint of which only the headers are known: enough to plan a conversion without downloading weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import mlx.core as mx

from ..errors import MalformedCheckpoint
from ..files.folder import Files, Header, TensorInfo
from ..packings.registry import stand_in
from .checkpoint import Checkpoint, Examined

# Of scales, zero points and group indices that stand in for distinct modules; real checkpoints have some 100 MB.
_MOST_BYTES = 2 << 30


class Outline(Checkpoint):
    """An open checkpoint whose tensors are stand-ins: shapes and dtypes from the headers, and the plainest values.

    So whatever is planned from an outline holds if the data are as the configuration says.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        vars(self).update(vars(checkpoint))
        self._forget()
        self.files: Files = _Unfetched(checkpoint.files)
        self._owners = {
            info.name: (leaf, module)
            for module in self.modules.values()
            for leaf, info in module.weight_tensors.items()
        }
        # The codes come first, and nothing of them is ever evaluated.
        self._codes = {next(iter(module.tensors.values())).name for module in self.modules.values()}
        self._alike: dict[object, str] = {}
        self._made = 0

    def tensor(self, name: str) -> mx.array:
        info = self._tensors[name]
        if name not in self._owners:
            return mx.zeros(info.shape, info.mlx_dtype)
        leaf, module = self._owners[name]
        if name not in self._codes:
            self._spend(info)
        return stand_in(module.scheme, leaf, module.weight_tensors)

    def examine(self, name: str) -> Examined:
        """Modules of one scheme and the same shapes have the same stand-ins: one of them is made for all."""
        module = self.modules[name]
        headers = tuple((leaf, info.dtype, info.shape) for leaf, info in module.weight_tensors.items())
        first = self._alike.setdefault((module.scheme, headers), name)
        if first != name and first in self._examined:
            self._examined[name], self._remarks[name] = self._examined[first], self._remarks[first]
        return super().examine(name)

    def read_ahead(self, name: str, *, codes: bool = True) -> None:
        """There is nothing to read."""

    def _spend(self, info: TensorInfo) -> None:
        """A header may claim shapes that no memory holds."""
        self._made += info.nbytes
        if self._made > _MOST_BYTES:
            raise MalformedCheckpoint(
                "too-large",
                f"shape {list(info.shape)}: the headers claim more parameters than can be stood in for; read the data",
                where=f"{info.file}: {info.name}",
            )


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

    def header(self, name: str) -> Header:
        return self._files.header(name)

    def fetch(self, names: Iterable[str]) -> None:
        """Stand-ins need no weights."""
