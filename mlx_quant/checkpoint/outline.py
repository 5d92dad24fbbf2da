"""A checkpoint of which only the headers are known: enough to plan a conversion without downloading weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import mlx.core as mx

from ..files.folder import Files, TensorInfo
from ..packings.checks import BIAS
from ..packings.registry import stand_in
from .checkpoint import Checkpoint


class Outline(Checkpoint):
    """An open checkpoint whose tensors are stand-ins: shapes and dtypes from the headers, and the plainest values.

    So whatever is planned from an outline holds if the data are as the configuration says.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        vars(self).update(vars(checkpoint))
        self._forget()
        self.files: Files = _Unfetched(checkpoint.files)
        self._owners = {
            info.name: (leaf, module.scheme)
            for module in self.modules.values()
            for leaf, info in module.tensors.items()
            if leaf != BIAS
        }

    def tensor(self, name: str) -> mx.array:
        info = self._tensors[name]
        if name not in self._owners:
            return mx.zeros(info.shape, info.mlx_dtype)
        leaf, scheme = self._owners[name]
        return stand_in(scheme, leaf, info)


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
