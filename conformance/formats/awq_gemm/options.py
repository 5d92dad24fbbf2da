"""What AWQ gemm is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import flags as shared
from ..dialects import autoround
from ..dialects import awq as dialect
from ..domain import Domain, IntegerDomain, label
from ..module import Files
from ..parts import Config, Tensors
from .addresses import LAYOUT
from .domain import Quotients
from .packing import DIVISORS, WIDTHS, config, group_size, pack, width

ID, SLUG, TITLE = "awq_gemm", "awq", "AWQ"
LEAVES = ("qweight", "qzeros", "scales", DIVISORS)
NOT_APPLICABLE: dict[str, str] = {}
# AWQ's labels that have rooms of their own.
OTHERS = (dialect.GEMV, dialect.GEMV_FAST, dialect.LLM_AWQ, dialect.MARLIN)
FILES = Files(
    vectors=("autoawq-0.2.9", "autoawq-0.2.9-scaled", "auto-round-0.16.1", "gptqmodel-7.7.0"),
    checkpoints=("llama-awq-g128", "llama-awq-g32", "qwen2-awq-g128", "qwen2-awq-g32", "starcoder2-awq-scaled-g32"),
    heard=("llama-awq-g32", "qwen2-awq-g128"),
    digests=("autoawq-0.2.9",),
)
COLUMNS = {
    "group size 32, 64, 128": ("group-size-32", "group-size-64", "group-size-128"),
    "legacy config": ("legacy-config",),
    "group size -1": ("group-size--1",),
    "scaled activation": ("scaled-activation",),
}

BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "AWQ": (("bits-4",), ("auto-round",)),
    "AWQ, other widths and AutoRound's": (("awq-else",), ()),
}


def names(config: Config) -> bool:
    if autoround.reads(config):
        return autoround.awq(config)
    return dialect.reads(config) and dialect.label(config) not in OTHERS


def said_width(config: Config) -> Any:
    return shared.width(config)


def domains() -> Iterator[Domain]:
    yield from (IntegerDomain(label(SLUG, bits, WIDTHS), bits, config, pack, LAYOUT) for bits in WIDTHS)
    yield Quotients(f"{SLUG}-scaled-activation")


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = shared.common(config, tensors)
    if "qweight" not in tensors:
        return found
    in_features = tensors["qweight"].shape[0]
    found.add(f"bits-{width(config)}")
    if width(config) != 4 or autoround.reads(config):
        found.add("awq-else")
    if DIVISORS in tensors:
        # To its own readers a module beside the layer, and none of its tensors.
        found |= {"scaled-activation", "awq-else"}
    if in_features % group_size(config, in_features):
        found.add("ragged")
    if in_features % 32 or tensors["scales"].shape[1] % 32:
        found.add("odd-width")
    return found
