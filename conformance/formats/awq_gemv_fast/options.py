"""What AWQ gemv_fast is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import flags as shared
from ..dialects import awq as dialect
from ..domain import Domain
from ..module import Files
from ..offset import OffsetDomain
from ..parts import Config, Tensors
from .packing import OFFSETS, config, group_size, pack_offsets

ID, SLUG, TITLE = "awq_gemv_fast", "awq_gemv_fast", "AWQ gemv_fast"
LEAVES = ("qweight", "scales", "qzeros", "scaled_zeros")
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("autoawq-0.2.9", "llm-awq-d6e797a"),
    checkpoints=("llama-awq-gemv-fast-g128",),
    heard=("llama-awq-gemv-fast-g128",),
    digests=("autoawq-0.2.9",),
)
COLUMNS = {
    "group size 32, 64, 128": ("group-size-32", "group-size-64", "group-size-128"),
    "group size -1": ("group-size--1",),
    "llm-awq": ("llm-awq",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"AWQ gemv_fast": (("awq_gemv_fast",), ())}


def names(config: Config) -> bool:
    return dialect.reads(config) and dialect.label(config) in OFFSETS


def said_width(config: Config) -> Any:
    return dialect.width(config)


def domains() -> Iterator[Domain]:
    # Upstream's kernels have float16 alone; of other dtypes corners are asked.
    yield OffsetDomain(SLUG, config, pack_offsets, "scales", exhausted=("float16",))


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = shared.common(config, tensors)
    if dialect.label(config) == dialect.LLM_AWQ:
        found.add("llm-awq")
    if "qweight" not in tensors:
        return found
    rows, inputs = tensors["qweight"].shape
    found.add("bits-4")
    if inputs // group_size(config, inputs) < len(tensors["scales"].bits):
        found.add("padded-groups")
    if rows % 8:
        found.add("odd-width")
    return found
