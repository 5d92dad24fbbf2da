"""What AWQ gemm is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from ..module import Files
from ..parts import Config, Tensors
from .packing import group_size

ID, SLUG, TITLE, MARK = "awq_gemm", "awq", "AWQ", "qweight"
FILES = Files(
    vectors=("autoawq-0.2.9",),
    checkpoints=("llama-awq-g128", "llama-awq-g32", "qwen2-awq-g128", "qwen2-awq-g32"),
    heard=("llama-awq-g32", "qwen2-awq-g128"),
    digests=("autoawq-0.2.9",),
)
COLUMNS = {
    "group size 32, 64, 128": ("group-size-32", "group-size-64", "group-size-128"),
    "legacy config": ("legacy-config",),
}


BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"AWQ": ((), ())}


def names(config: Config) -> bool:
    method = config.get("quant_method") or config.get("method")
    # quant_config.json of early AutoAWQ and llm-awq carries no method.
    return method == "awq" or (method is None and "w_bit" in config)


def flags(config: Config, tensors: Tensors) -> set[str]:
    if "qweight" not in tensors:
        return set()
    in_features, found = tensors["qweight"].shape[0], {"bits-4"}
    if in_features % group_size(config, in_features):
        found.add("ragged")
    if in_features % 32 or tensors["scales"].shape[1] % 32:
        found.add("odd-width")
    return found
