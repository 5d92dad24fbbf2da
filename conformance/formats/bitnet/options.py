"""What BitNet is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.floats import LARGEST
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import Codes
from .packing import CODES, DIVIDED, FORMS, METHOD, SCALE, form_of

ID, SLUG, TITLE = "bitnet", "bitnet", "BitNet"
LEAVES = (CODES, SCALE)
MARKS = (SCALE,)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("transformers-5.23.0",),
    checkpoints=("qwen2-bitlinear",),
    heard=("qwen2-bitlinear",),
    digests=("transformers-5.23.0",),
)
COLUMNS: dict[str, tuple[str, ...]] = {"bitlinear": ("bitlinear",), "autobitlinear": ("autobitlinear",)}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"BitNet": ((), ())}


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def said_width(config: Config) -> Any:
    return 2


def domains() -> Iterator[Domain]:
    for form in FORMS:
        yield Codes(form)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-2"} | ({form_of(config)} & {*FORMS} if isinstance(form_of(config), str) else set())
    if SCALE in tensors:
        found.add(f"scales-{tensors[SCALE].dtype}")
        if form_of(config) == DIVIDED and (np.abs(tensors[SCALE].float64()) * LARGEST[tensors[SCALE].dtype] < 1).any():
            found.add("quotient-overflows")
    # MLX's last group is not full.
    if CODES in tensors and tensors[CODES].shape[-1] % 32:
        found.add("ragged")
    return found
