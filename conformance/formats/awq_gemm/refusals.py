"""AWQ gemm modules with one thing wrong, and AWQ's other layouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..module import Refusal
from .packing import WIDTHS, config, parts

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
    g_idx = Array.of(np.arange(128, dtype=np.int32) // 32)
    yield Refusal("awq-with-g_idx", PLAIN, tensors | {"g_idx": g_idx}, "unexpected-tensor")
