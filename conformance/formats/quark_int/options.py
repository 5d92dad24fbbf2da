"""What Quark's integers are called, what lies in their fixtures, and what can be seen of one of their modules."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import quark as dialect
from ..domain import Domain, IntegerDomain, label
from ..module import Files
from ..parts import Config, Tensors
from .addresses import LAYOUT
from .packing import DTYPES, WIDTHS, config, numbers_in, packed

ID, SLUG, TITLE = "quark_int", "quark_int", "Quark, integers"
LEAVES = (
    *("weight", "weight_scale", "weight_zero_point"),
    *("input_scale", "input_zero_point", "output_scale", "output_zero_point"),
)
MARKS = ("weight_scale",)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("amd-quark-0.13", "amd-quark-0.13-twos"),
    checkpoints=("qwen2-quark-mixed",),
    heard=("qwen2-quark-mixed",),
    digests=("amd-quark-0.13",),
)
COLUMNS = {
    "signed": ("int2", "int4", "int8"),
    "unsigned": ("uint2", "uint4", "uint8"),
    "a scale a channel or tensor": ("strategy-channel", "strategy-tensor"),
    "pack_method order": ("order",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"Quark integers": ((), ())}


def names(config: Config) -> bool:
    return dialect.dtype(config).startswith(("int", "uint"))


def said_width(config: Config) -> Any:
    digits = dialect.dtype(config).lstrip("uint")
    return int(digits) if digits.isdigit() else None


def domains() -> Iterator[Domain]:
    """Codes of either sign with every bfloat16 scale, which is what such files have; of the others the corners."""

    def made(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int, dtype: str) -> dict[str, Array]:
        return packed(config(bits, codes.shape[1] // len(zeros), dtype), codes, zeros, scales)

    for dtype in DTYPES:
        bits = int(dtype[-1])
        own = partial(config, dtype=dtype)
        name = label(SLUG, bits, WIDTHS) + ("" if dtype.startswith("u") else "-signed")
        yield IntegerDomain(name, bits, own, partial(made, dtype=dtype), LAYOUT, ("bfloat16",))


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = dialect.flags(config) | {f"scales-{tensors['weight_scale'].dtype}"}
    given = dialect.arguments(config)
    rows, columns = tensors["weight"].shape
    columns *= numbers_in(given)
    out, in_features = (columns, rows) if given.strategy == "group" else (rows, columns)
    if out % 32 or in_features % 32:
        found.add("odd-width")
    # MLX's last group is not full.
    if in_features % 32:
        found.add("ragged")
    return found
