"""What ``pack-quantized`` is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..dialects import compressed_tensors as dialect
from ..domain import Domain, IntegerDomain, label
from ..module import Files
from ..parts import Config, Tensors
from .addresses import LAYOUT
from .packing import FORMAT, WIDTHS, config, group_size, pack

ID, SLUG, TITLE = "ct_packed", "ct_packed", "compressed-tensors, packed"
LEAVES = ("weight_packed", "weight_scale", "weight_zero_point", "weight_g_idx", "weight_shape")
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("compressed-tensors-0.19.0", "compressed-tensors-0.17.1"),
    checkpoints=("llama-ct-4bit-g32-asym", "qwen2-ct-mixed-precision"),
    heard=("llama-ct-4bit-g32-asym",),
    digests=("compressed-tensors-0.19.0",),
)
COLUMNS = {
    "symmetric": ("symmetric",),
    "asymmetric": ("asymmetric",),
    "a scale a channel or tensor": ("strategy-channel", "strategy-tensor"),
    "act-order": ("act-order", "arbitrary-groups"),
    "padded words": ("padded-words",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "compressed-tensors 4 bits": (("bits-4",), ("act-order", "arbitrary-groups")),
    "compressed-tensors 2 to 8 bits": ((), ("bits-4", "act-order", "arbitrary-groups")),
}


def names(config: Config) -> bool:
    return dialect.named(config) == FORMAT


def said_width(config: Config) -> Any:
    group = dialect.first(config)
    return None if group is None else group["weights"].get("num_bits")


def domains() -> Iterator[Domain]:
    """Every scale at the usual width; at the others their corners, since the product is the same."""
    for bits in WIDTHS:
        exhausted = ("float16", "bfloat16") if bits == WIDTHS[0] else ()
        yield IntegerDomain(label(SLUG, bits, WIDTHS), bits, config, pack, LAYOUT, exhausted)


def flags(config: Config, tensors: Tensors) -> set[str]:
    given = dialect.arguments(config)
    found = dialect.flags(config) | {f"scales-{tensors['weight_scale'].dtype}"}
    out = tensors["weight_packed"].shape[0]
    in_features = int(tensors["weight_shape"].bits[1]) if "weight_shape" in tensors else 0
    if given.padded and 32 % given.bits:
        found.add("padded-words")
    # The last word is not full, or MLX's last group.
    if in_features * given.bits % 32 or (given.size == -1 and in_features % 32):
        found.add("ragged")
    if in_features % 32 or out % 32:
        found.add("odd-width")
    g_idx = tensors.get("weight_g_idx")
    if g_idx is not None and (g_idx.bits != -1).all():
        consecutive = np.arange(len(g_idx.bits)) // group_size(config, len(g_idx.bits))
        if np.array_equal(g_idx.bits, consecutive):
            return found | {"sequential"}
        same = np.array_equal(np.sort(g_idx.bits), consecutive)
        return found | {"act-order" if same else "arbitrary-groups"}
    return found
