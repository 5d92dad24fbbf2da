"""What AQLM is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import Scales, Sums
from .packing import BITS, BOOKS, CODES, DEFAULTS, METHOD, SCALES, said

ID, SLUG, TITLE = "aqlm", "aqlm", "AQLM"
LEAVES = (CODES, BOOKS, SCALES)
MARKS = (BOOKS, CODES)
NOT_APPLICABLE = {"affine": "entries of codebooks are in no line, and MLX has no form for them; decoded to dense"}
FILES = Files(
    vectors=("aqlm-1.1.7",),
    checkpoints=("llama-aqlm-2x8",),
    heard=("llama-aqlm-2x8",),
    falters=("llama-aqlm-2x8",),
    digests=("aqlm-1.1.7",),
)
COLUMNS: dict[str, tuple[str, ...]] = {
    "one codebook": ("one-codebook",),
    "several codebooks": ("several-codebooks",),
    "blocks of several outputs": ("blocks-of-rows",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"AQLM": ((), ())}


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def said_width(config: Config) -> Any:
    return config.get(BITS, DEFAULTS[BITS])


def domains() -> Iterator[Domain]:
    """Every scale of 16 bits with 32 entries, and every entry of 16 bits added to 32 others."""
    yield Scales(SLUG)
    yield Sums(f"{SLUG}-sums")


def flags(config: Config, tensors: Tensors) -> set[str]:
    bits, books, (rows, _) = said(config)
    found = {f"bits-{bits}", "one-codebook" if books == 1 else "several-codebooks"}
    if BOOKS in tensors:
        found.add(f"scales-{tensors[BOOKS].dtype}")
    if rows != 1:
        found.add("blocks-of-rows")
    return found
