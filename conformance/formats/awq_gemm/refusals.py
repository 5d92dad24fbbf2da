"""AWQ gemm modules with one thing wrong, and AWQ's other layouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..module import Refusal
from ..parts import Tensors
from .packing import DIVISORS, WIDTHS, config, parts

PLAIN = config(4, 32)


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(8)
    scales = Array.of((rng.random((4, 64)) * 0.01).astype(np.float16))
    tensors = {"qweight": common.words(rng, 128, 8), "qzeros": common.words(rng, 4, 8), "scales": scales}
    weight = parts(PLAIN, tensors).dense(None)
    for version in ("gemv", "gemv_fast", "marlin", "exllama", "ipex", "never-heard-of"):
        # On disk these are gemm to transformers and to GPTQModel: the name chooses a kernel.
        readings = (weight,) if version in ("exllama", "ipex", "marlin") else ()
        # Where the name is of a packing that is decoded, these are no tensors of it.
        code = {"gemv": "bad-shape", "gemv_fast": "bad-dtype"}.get(version, "unsupported-layout")
        flags = frozenset({"awq-else"} if version.startswith("gemv") else ())
        yield Refusal(f"awq-{version}", PLAIN | {"version": version}, tensors, code, readings, flags)
    for name, spelling in (("llm-awq", "llm-awq"), ("upper-case", "LLM-AWQ")):
        config = PLAIN | {"backend": spelling}
        yield Refusal(f"awq-backend-{name}", config, tensors, "missing-tensor", flags=frozenset({"awq-else"}))
    for refusal in common.common("awq", PLAIN, tensors, weight, WIDTHS):
        width = refusal.config["bits"]
        yield replace(refusal, flags=frozenset({"awq-else"})) if width in WIDTHS and width != 4 else refusal
    yield Refusal("awq-named-gptq", PLAIN | {"quant_method": "gptq", "desc_act": False}, tensors, "bad-shape")
    # Four groups of 32 inputs, and one of 8.
    short = {
        name: Array(tensors[name].dtype, np.resize(tensors[name].bits, (5, tensors[name].shape[1])))
        for name in ("qzeros", "scales")
    }
    short["qweight"] = Array("int32", np.resize(tensors["qweight"].bits, (136, 8)))
    yield Refusal("awq-short-last-group", PLAIN, short, "bad-shape")
    yield from _divisors(tensors)
    g_idx = Array.of(np.arange(128, dtype=np.int32) // 32)
    yield Refusal("awq-with-g_idx", PLAIN, tensors | {"g_idx": g_idx}, "unexpected-tensor")


def _divisors(tensors: Tensors) -> Iterator[Refusal]:
    """Divisors of a scaled activation that do not fit the inputs, or that nothing can be divided by."""
    flags = frozenset({"awq-else", "scaled-activation"})
    ones = Array.of(np.ones(128, np.float16))
    wrong = {
        "short": (Array.of(np.ones(127, np.float16)), "bad-shape"),
        "of-outputs": (Array.of(np.ones(64, np.float16)), "bad-shape"),
        "of-groups": (Array.of(np.ones(4, np.float16)), "bad-shape"),
        "in-a-row": (Array.of(np.ones((1, 128), np.float16)), "bad-shape"),
        "int32": (Array.of(np.ones(128, np.int32)), "unsupported-dtype"),
        "nan": (common.changed(ones, (7,), 0x7E00), "non-finite-scales"),
        "infinity": (common.changed(ones, (8,), 0x7C00), "non-finite-scales"),
        "zero": (common.changed(ones, (9,), 0), "non-finite-scales"),
        "minus-zero": (common.changed(ones, (127,), 0x8000), "non-finite-scales"),
    }
    for id, (divisors, code) in wrong.items():
        yield Refusal(f"awq-divisors-{id}", PLAIN, {**tensors, DIVISORS: divisors}, code, flags=flags)
    # Nobody but AutoAWQ writes them.
    others = PLAIN | {"quant_method": "gptq", "desc_act": False}
    yield Refusal("awq-divisors-named-gptq", others, {**tensors, DIVISORS: ones}, "unexpected-tensor", flags=flags)
