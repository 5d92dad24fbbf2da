"""What QQQ is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import flags as shared
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..spelt import written
from .domain import TwoSteps
from .packing import has_groups

ID, SLUG, TITLE = "qqq", "qqq", "QQQ"
LEAVES = ("B", "s_channel", "s_group")
MARKS = ("B", "s_channel")
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("gptqmodel-7.7.0",),
    checkpoints=("llama-qqq-g128",),
    heard=("llama-qqq-g128",),
    digests=("gptqmodel-7.7.0",),
)
# Scales are float32, always.
COLUMNS: dict[str, tuple[str, ...]] = {
    "groups": ("groups",),
    "one group": ("one-group",),
    "bfloat16 scales": (),
    "float32 scales": (),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"QQQ": (("qqq",), ())}


def names(config: Config) -> bool:
    found = written(config)
    return str(found.get("quant_method") or found.get("method")).lower() == SLUG


def said_width(config: Config) -> Any:
    return shared.width(config)


def domains() -> Iterator[Domain]:
    yield TwoSteps(SLUG)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-4"}
    if "B" in tensors and len(tensors["B"].shape) == 2:
        found.add("groups" if has_groups(config, tensors) else "one-group")
        # Of MLX's affine form, where an output has one scale.
        inputs = 16 * tensors["B"].shape[0]
        if inputs and not shared.affine(inputs, inputs):
            found.add("ragged")
    return found | {shared.group_size(config.get("group_size", -1))}
