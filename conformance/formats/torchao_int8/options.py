"""What torchao's bytes are called, what lies in their fixtures, and what can be seen of one of their modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .addresses import LAYOUT
from .domain import SteppedDomain
from .packing import CODES, METHOD, SCALES, ZEROS, block_of, config, pack, said

ID, SLUG, TITLE = "torchao_int8", "torchao_int8", "torchao int8"
LEAVES = (CODES, SCALES, ZEROS, "_weight_act_quant_scale", "_weight_act_quant_zero_point")
MARKS = (CODES,)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("torchao-0.18.0",),
    checkpoints=("qwen2-torchao-int8",),
    heard=("qwen2-torchao-int8",),
    digests=("torchao-0.18.0",),
)
COLUMNS: dict[str, tuple[str, ...]] = {
    "Int8Tensor": ("int8-tensor",),
    "IntxUnpackedToInt8Tensor": ("intx-tensor",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"torchao int8": ((), ())}


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def said_width(config: Config) -> Any:
    """Codes of fewer bits lie in bytes all the same."""
    return 8


def domains() -> Iterator[Domain]:
    """Every bfloat16 scale; of the others the corners."""
    yield SteppedDomain(SLUG, 8, config, pack, LAYOUT, ("bfloat16",))


def flags(config: Config, tensors: Tensors) -> set[str]:
    own, (rows, columns) = said(config), block_of(config)
    out, inputs = tensors[CODES].shape
    found = {"int8-tensor" if own["_type"] == "Int8Tensor" else "intx-tensor"}
    found |= {f"is-{own['_data']['dtype']['_data']}", f"scales-{tensors[SCALES].dtype}"}
    found.add("asymmetric" if ZEROS in tensors else "symmetric")
    if columns == 16:
        found.add("group-size-16")
    # MLX's last group is not full.
    if columns % 32 and columns != 16:
        found.add("ragged")
    if rows > 1:
        found.add("strategy-tensor" if (rows, columns) == (out, inputs) else "strategy-block")
    else:
        found.add("strategy-channel" if columns == inputs else "strategy-group")
    return found
