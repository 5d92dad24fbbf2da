"""What GPTQ is called, what lies in its fixtures, and what can be seen of one of its modules."""

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
from .packing import WIDTHS, config, group_size, pack, parts, symmetric, version, width

ID, SLUG, TITLE = "gptq", "gptq", "GPTQ"
LEAVES = ("qweight", "qzeros", "scales", "g_idx")
NOT_APPLICABLE: dict[str, str] = {}
# GPTQModel's labels, and its words, that have rooms of their own.
OTHERS = ("gptq_p", "marlin")
NARROW = ("int8", "int16")
FILES = Files(
    vectors=("auto-gptq-0.7.1", "auto-gptq-0.7.1-widths", "auto-round-0.16.1", "auto-round-0.15.0"),
    # Producers that store zero points in a way of their own.
    produced=("gptqmodel-7.7.0", "gptqmodel-7.7.0-family", "gptqmodel-6.0.3-3bit"),
    checkpoints=(
        "llama-gptq-2bit-g32-seq-asym",
        "llama-gptq-3bit-g32-act-asym",
        "qwen2-gptq-3bit-g32-act-sym",
        "qwen2-gptq-8bit-g128-act-asym",
        "llama-gptqmodel-v2-g64-act-asym",
        "llama-gptqmodel-dynamic-lm_head",
        "qwen2-gptqmodel-3bit-g32-act-asym",
        "qwen2-gptqmodel-8bit-v2-g32-act-sym",
        "qwen2-autoround-4bit-g32-mixed",
        "llama-gptq-g128-act-asym",
        "llama-gptq-g128-seq-asym",
        "llama-gptq-g32-act-sym",
        "llama-gptq-gall-act-asym",
        "qwen2-gptq-g128-act-sym",
        "qwen2-gptq-g32-act-asym",
        "qwen2-gptq-g32-seq-asym",
        "qwen2-gptq-gall-seq-sym",
    ),
    heard=(
        "qwen2-gptq-g128-act-sym",
        "llama-gptq-g128-seq-asym",
        "llama-gptq-3bit-g32-act-asym",
        "llama-gptqmodel-v2-g64-act-asym",
        "llama-gptqmodel-dynamic-lm_head",
    ),
    digests=("auto-gptq-0.7.1", "gptqmodel-7.7.0", "auto-round-0.16.1"),
)
COLUMNS = {
    "symmetric": ("symmetric",),
    "asymmetric": ("asymmetric",),
    "no g_idx": ("no-g_idx",),
    "g_idx in order": ("sequential",),
    "act-order": ("act-order",),
    "arbitrary g_idx": ("arbitrary-groups",),
    "zero point 0": ("zero-point-0",),
    "group size -1": ("group-size--1",),
}

BRIEF = {
    "GPTQ 4 bits, symmetric": (("bits-4", "symmetric"), ("gptq_v2", "policy", "auto-round")),
    "GPTQ 4 bits, asymmetric": (("bits-4", "asymmetric"), ("gptq_v2", "policy", "zero-point-0", "auto-round")),
    "GPTQ act-order": (("bits-4", "act-order"), ("gptq_v2", "policy", "zero-point-0", "auto-round")),
    "GPTQ zero point 0": (("zero-point-0",), ("gptq_v2", "auto-round")),
    "GPTQ 2, 3, 8 bits": ((), ("bits-4", "gptq_v2", "policy", "zero-point-0", "auto-round")),
    "AutoRound, 2 to 8 bits": (("auto-round",), ()),
    "GPTQ version 2": (("gptq_v2",), ("policy", "auto-round")),
}


def names(config: Config) -> bool:
    if autoround.reads(config):
        return not autoround.awq(config)
    found = written(config)
    label = str(found.get("checkpoint_format") or found.get("format")).lower()
    if label in OTHERS or found.get("is_marlin_format"):
        return False
    if label in ("none", "gptq", "gptq_v2") and str(found.get("pack_dtype")).lower() in NARROW:
        return False
    method = found.get("quant_method") or found.get("method")
    # AutoGPTQ's quantize_config.json had no method for years.
    return str(method).lower() == "gptq" or (method is None and "w_bit" not in found and "desc_act" in found)


def said_width(config: Config) -> Any:
    return shared.width(config)


def domains() -> Iterator[Domain]:
    for bits in WIDTHS:
        yield IntegerDomain(label(SLUG, bits, WIDTHS), bits, config, pack, LAYOUT)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = shared.common(config, tensors)
    if "qweight" not in tensors or width(config) not in WIDTHS:
        return found
    rows, bits = tensors["qweight"].shape[0], width(config)
    in_features = tensors["g_idx"].shape[0] if "g_idx" in tensors else rows * 32 // bits
    found |= {f"bits-{bits}", "symmetric" if symmetric(config) else "asymmetric", _map(config, tensors, in_features)}
    # The last group or the last word is not full.
    if in_features % group_size(config, in_features) or in_features * bits % 32:
        found.add("ragged")
    if in_features % 32 or tensors["scales"].shape[1] % 32:
        found.add("odd-width")
    if version(config) == 2:
        found.add("gptq_v2")
    if "qzeros" not in tensors:
        found.add("no-qzeros")
    return found


def zero_point_0(config: Config, tensors: Tensors) -> bool:
    """Whether a zero point is 0, which version 1 stores as all ones: upstream's readers part on that."""
    return version(config) == 1 and bool((parts(config, tensors).z == 0).any())


def _map(config: Config, tensors: Tensors, in_features: int) -> str:
    if "g_idx" not in tensors:
        return "no-g_idx"
    g_idx = tensors["g_idx"].bits
    consecutive = np.arange(in_features) // group_size(config, in_features)
    if np.array_equal(g_idx, consecutive):
        return "sequential"
    return "act-order" if np.array_equal(np.sort(g_idx), consecutive) else "arbitrary-groups"
