"""Nothing about AWQ gemm is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...bits.array import Array
from ..module import Spelling
from ..parts import Config, Tensors


def spellings() -> Iterator[Spelling]:
    yield from ()


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
