"""What GPTQ in narrow words is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import flags as shared
from ..dialects import autoround
from ..domain import Domain, IntegerDomain, label
from ..gptq.packing import version
from ..module import Files
from ..parts import Config, Tensors
from ..spelt import written
from .addresses import LAYOUT
from .packing import WIDTHS, WORDS, config, group_size, pack, parts, width, word_of

ID, SLUG, TITLE = "gptq_narrow", "gptq_narrow", "GPTQ in narrow words"
LEAVES = ("qweight", "qzeros", "scales", "g_idx")
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("gptqmodel-7.7.0",),
    checkpoints=("llama-gptq-narrow-int8-g128-act-asym",),
    heard=("llama-gptq-narrow-int8-g128-act-asym",),
    digests=("gptqmodel-7.7.0",),
)
COLUMNS = {
    "int8": ("words-8",),
    "int16": ("words-16",),
    "act-order": ("act-order",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"GPTQ in narrow words": (("gptq_narrow",), ())}


def names(config: Config) -> bool:
    found = written(config)
    method = found.get("quant_method") or found.get("method")
    said = str(found.get("checkpoint_format") or found.get("format") or "gptq").lower()
    if autoround.reads(config) or found.get("is_marlin_format") or said not in ("gptq", "gptq_v2"):
        return False
    named = str(method).lower() == "gptq" or (method is None and "w_bit" not in found and "desc_act" in found)
    return named and str(found.get("pack_dtype")).lower() in WORDS


def said_width(config: Config) -> Any:
    return shared.width(config)


def domains() -> Iterator[Domain]:
    # The products are GPTQ's, and enumerated there: what is new here are the places of codes and zero points.
    for bits in WIDTHS:
        exhausted = ("float16",) if bits == WIDTHS[0] else ()
        yield IntegerDomain(label(SLUG, bits, WIDTHS), bits, config, pack, LAYOUT, exhausted)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = shared.common(config, tensors)
    if "qweight" not in tensors or width(config) not in WIDTHS:
        return found
    g, bits, word = parts(config, tensors).g, width(config), word_of(config)
    found |= {f"bits-{bits}", "asymmetric" if config.get("sym") is False else "symmetric", _map(config, tensors, g)}
    found.add(f"words-{word}")
    if version(config) == 2:
        found.add("gptq_v2")
    if len(g) * bits % word or not shared.affine(len(g), group_size(config, len(g))):
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
