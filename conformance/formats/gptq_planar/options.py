"""What planar GPTQ is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import flags as shared
from ..dialects import autoround
from ..domain import Domain, IntegerDomain, label
from ..module import Files
from ..parts import Config, Tensors
from ..spelt import written
from .addresses import LAYOUT
from .packing import BLOCKS, LABEL, WIDTHS, config, group_size, pack, parts, width

ID, SLUG, TITLE = "gptq_planar", "gptq_planar", "GPTQ planar"
LEAVES = ("qweight", "qzeros", "scales", "g_idx")
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("gptqmodel-7.7.0",),
    checkpoints=("llama-gptq-planar-mixed-g32-act-asym",),
    heard=("llama-gptq-planar-mixed-g32-act-asym",),
    digests=("gptqmodel-7.7.0",),
)
COLUMNS = {
    "3, 5, 6, 7 bits": ("bits-3", "bits-5", "bits-6", "bits-7"),
    "2, 4, 8 bits": ("one-plane",),
    "act-order": ("act-order",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"GPTQ planar": (("gptq_planar",), ())}


def names(config: Config) -> bool:
    found = written(config)
    method = found.get("quant_method") or found.get("method")
    said = str(found.get("checkpoint_format") or found.get("format")).lower() == LABEL
    return said and not autoround.reads(config) and (method is None or str(method).lower() == "gptq")


def said_width(config: Config) -> Any:
    return shared.width(config)


def domains() -> Iterator[Domain]:
    # The products are GPTQ's, and enumerated there: what is new here are the places of codes and zero points.
    for bits in BLOCKS:
        exhausted = ("float16",) if bits == WIDTHS[0] else ()
        yield IntegerDomain(label(SLUG, bits, WIDTHS), bits, config, pack, LAYOUT, exhausted)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = shared.common(config, tensors)
    if "qweight" not in tensors or width(config) not in WIDTHS:
        return found
    g, bits = parts(config, tensors).g, width(config)
    found |= {f"bits-{bits}", "asymmetric" if config.get("sym") is False else "symmetric", _map(config, tensors, g)}
    if bits not in BLOCKS:
        found.add("one-plane")
    if len(g) % group_size(config, len(g)) or len(g) * bits % 32:
        found.add("ragged")
    if len(g) % 32 or tensors["scales"].shape[1] % 32:
        found.add("odd-width")
    return found


def _map(config: Config, tensors: Tensors, g: np.ndarray) -> str:
    if "g_idx" not in tensors:
        return "no-g_idx"
    consecutive = np.arange(len(g)) // group_size(config, len(g))
    if np.array_equal(g, consecutive):
        return "sequential"
    return "act-order" if np.array_equal(np.sort(g), consecutive) else "arbitrary-groups"
