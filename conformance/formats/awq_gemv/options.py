"""What AWQ gemv is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import flags as shared
from ..dialects import awq as dialect
from ..domain import Domain, IntegerDomain
from ..module import Files
from ..parts import Config, Tensors
from .addresses import LAYOUT
from .packing import config, group_size, pack

ID, SLUG, TITLE = "awq_gemv", "awq_gemv", "AWQ gemv"
LEAVES = ("qweight", "qzeros", "scales")
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("autoawq-0.2.9",),
    checkpoints=("llama-awq-gemv-g64", "qwen2-awq-gemv-g128"),
    heard=("qwen2-awq-gemv-g128",),
    digests=("autoawq-0.2.9",),
)
COLUMNS = {
    "group size 32, 64, 128": ("group-size-32", "group-size-64", "group-size-128"),
    "legacy config": ("legacy-config",),
    "group size -1": ("group-size--1",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"AWQ gemv": (("awq_gemv",), ())}


def names(config: Config) -> bool:
    return dialect.reads(config) and dialect.label(config) == dialect.GEMV


def said_width(config: Config) -> Any:
    return dialect.width(config)


class _Domain(IntegerDomain):
    """Spoilt scales are those of groups: what pads them is read by nobody."""

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        small = self.pack(dtype, np.full(32, 0x3C00 if dtype == "float16" else 0x3F80, np.uint16))
        scales = small["scales"].bits.copy()
        scales[number % len(scales), number // len(scales) % len(self.zeros)] = pattern
        return small | {"scales": Array(dtype, scales)}


def domains() -> Iterator[Domain]:
    yield _Domain(SLUG, 4, config, pack, LAYOUT)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = shared.common(config, tensors)
    if "qweight" not in tensors:
        return found
    out, columns = tensors["qweight"].shape
    found.add("bits-4")
    groups = 8 * columns // group_size(config, 8 * columns)
    if groups < tensors["scales"].shape[1]:
        found.add("padded-groups")
    if (8 * columns) % 32 or out % 32:
        found.add("odd-width")
    if (8 * columns) % 32:
        found.add("ragged")
    return found
