"""What bitsandbytes' 4 bits are called, what lies in their fixtures, and what can be seen of one of their modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import bitsandbytes as dialect
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..scaled import ScaledDomain
from .domain import OFFSETS, Packed
from .packing import MAP, OWN, OWN_MAP, STATE, VALUES, pack, parts, said

ID, SLUG, TITLE = "bnb_4bit", "bnb_4bit", "bitsandbytes 4-bit"
STATES = tuple(STATE + kind for kind in VALUES)
LEAVES = ("weight", "weight.absmax", *STATES, MAP, OWN, OWN_MAP)
MARKS = ("weight.absmax", *STATES)
NOT_APPLICABLE = {"affine": "numbers from a list are in no line, and MLX has no form for them; decoded to dense"}
FILES = Files(
    vectors=("bitsandbytes-0.50.2",),
    checkpoints=("qwen2-bnb-nf4-double",),
    heard=("qwen2-bnb-nf4-double",),
    digests=("bitsandbytes-0.50.2",),
)
COLUMNS = {
    "NF4": ("nf4",),
    "FP4": ("fp4",),
    "double quantisation": ("double",),
    "codes stored as floats": ("stored-float16", "stored-bfloat16", "stored-float32"),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"bitsandbytes 4-bit": ((), ())}


def names(config: Config) -> bool:
    return dialect.bits_of(config) == 4


def said_width(config: Config) -> Any:
    return 4


def domains() -> Iterator[Domain]:
    """Every code with every scale of 16 bits, and with every byte of a packed one."""
    for kind, values in VALUES.items():

        def made(codes: np.ndarray, scales: Array, kind: str = kind) -> tuple[dict[str, Any], dict[str, Array]]:
            return dialect.config(kind), pack(codes, codes, scales, kind=kind, block=codes.shape[1])

        halves = ("float16", "bfloat16")
        yield ScaledDomain(f"{SLUG}-{kind}", values, halves, (*halves, "float32"), made, parts)
    for kind, (label, offset) in zip(VALUES, OFFSETS.items(), strict=True):
        yield Packed(f"{SLUG}-{kind}-double-{label}", kind, offset)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-4"}
    if not any(name in tensors for name in STATES):
        return found
    kind, own = said(tensors)
    storage, shape = tensors["weight"].dtype, own["shape"]
    found |= {kind, f"stored-{storage}", "double" if OWN in tensors else f"scales-{tensors['weight.absmax'].dtype}"}
    if shape[1] % 2:
        found.add("odd")
    if shape[1] % own["blocksize"]:
        found.add("across-rows")
    return found
