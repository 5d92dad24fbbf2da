"""What FP8 in parts is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E4M3
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..scaled import ScaledDomain
from .packing import KIND, NAMES, QUANTO, TORCHAO, method, names_of, parts, quanto, stored, torchao

ID, SLUG, TITLE = "fp8_parts", "fp8_parts", "FP8 in parts"
MARKS = tuple(codes for codes, _ in NAMES.values())
LEAVES = (*MARKS, *(scales for _, scales in NAMES.values()), "input_scale", "output_scale")
NOT_APPLICABLE = {"affine": "a float times a scale has no whole numbers"}
FILES = Files(
    vectors=("optimum-quanto-0.2.7", "torchao-0.18.0"),
    checkpoints=("qwen2-torchao-fp8",),
    heard=("qwen2-torchao-fp8",),
    digests=("torchao-0.18.0",),
)
COLUMNS: dict[str, tuple[str, ...]] = {"quanto's": ("of-quanto",), "torchao's": ("of-torchao",)}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"FP8 in parts": ((), ())}


def names(config: Config) -> bool:
    if method(config) == QUANTO:
        return str(config.get("weights")).startswith(("qfloat8", "float8"))
    return method(config) == TORCHAO and _kind(config) == KIND


def _kind(config: Config) -> Any:
    """The class that the header names; None where it is no such thing."""
    entries = config.get("metadata")
    try:
        found = json.loads(entries["weight"]) if isinstance(entries, dict) else None
    except (KeyError, RecursionError, TypeError, ValueError):
        return None
    return found.get("_type") if isinstance(found, dict) else None


def said_width(config: Config) -> Any:
    return 8


def domains() -> Iterator[Domain]:
    def of_quanto(codes: np.ndarray, scales: Array) -> tuple[dict[str, Any], dict[str, Array]]:
        return quanto(), stored(QUANTO, codes, Array(scales.dtype, scales.bits[:, None]))

    def of_torchao(codes: np.ndarray, scales: Array) -> tuple[dict[str, Any], dict[str, Array]]:
        return torchao((1, codes.shape[1])), stored(TORCHAO, codes, Array(scales.dtype, scales.bits[:, None]))

    yield ScaledDomain(SLUG, E4M3, ("bfloat16",), ("bfloat16", "float16", "float32"), of_quanto, parts)
    yield ScaledDomain(f"{SLUG}-torchao", E4M3, (), ("bfloat16", "float32"), of_torchao, parts)


def flags(config: Config, tensors: Tensors) -> set[str]:
    codes, scales = names_of(config)
    found = {"bits-8", f"of-{method(config)}"}
    if codes not in tensors or scales not in tensors:
        return found
    found.add(f"scales-{tensors[scales].dtype}")
    count, out = tensors[scales].bits.size, tensors[codes].shape[0]
    return found | {"tensor" if count == 1 else "channel" if count == out else "blocks"}
