"""Inputs that no decoder may accept: each is a sound module with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..cases.case import Case
from ..cases.verdict import Verdict, declined
from ..formats.registry import parts
from ..subjects.ask import decode


@dataclass(frozen=True)
class Refusal:
    """``code`` is the stable code our own errors carry; a foreign subject need only use its declared types.

    ``readings`` are the weights of loaders that know more than we decode, or are more lenient without guessing.
    """

    id: str
    config: dict[str, Any]
    tensors: dict[str, Array]
    code: str
    readings: tuple[Array, ...] = ()


GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "sym": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}
FOREIGN_METHODS = (
    "aqlm",
    "bitsandbytes",
    "compressed-tensors",
    "eetq",
    "fp8",
    "fp_quant",
    "hqq",
    "quip_sharp",
    "spqr",
    "vptq",
    "a-method-never-heard-of",
)


def _sound() -> tuple[dict[str, Array], dict[str, Array]]:
    rng = np.random.default_rng(7)

    def draw(*shape: int) -> Array:
        return Array.of(rng.integers(-(2**31), 2**31, shape, dtype=np.int32))

    scales = Array.of((rng.random((4, 64)) * 0.01).astype(np.float16))
    gptq = {"qweight": draw(16, 64), "qzeros": draw(4, 8), "scales": scales}
    gptq["g_idx"] = Array.of(rng.permutation(np.arange(128, dtype=np.int32) // 32))
    return gptq, {"qweight": draw(128, 8), "qzeros": draw(4, 8), "scales": scales}


def _with(array: Array, place: tuple[int, ...], bits: int) -> Array:
    changed = array.bits.copy()
    changed[place] = bits
    return Array(array.dtype, changed)


def _without(tensors: dict[str, Array], name: str) -> dict[str, Array]:
    return {key: array for key, array in tensors.items() if key != name}


def refusals() -> Iterator[Refusal]:
    gptq, awq = _sound()
    for method in FOREIGN_METHODS:
        yield Refusal(f"method-{method}", {"quant_method": method}, gptq, "unsupported-method")
    v1, plain_awq = parts(GPTQ, gptq), parts(AWQ, awq)
    # What GPTQModel writes under these names at 4 bits differs from version 1 in that zero points are stored as is.
    v2 = v1.with_(z=(v1.z - 1) % 16).dense(None)
    gptq_readings = {"gptq_v2": (v2,), "gptq_p": (v2,), "marlin": (v2, v1.dense(None))}
    for layout in ("gptq_v2", "gptq_p", "bitblas", "marlin", "never-heard-of"):
        config, readings = GPTQ | {"checkpoint_format": layout}, gptq_readings.get(layout, ())
        yield Refusal(f"gptq-{layout}", config, gptq, "unsupported-layout", readings)
    yield Refusal("gptq-is_marlin_format", GPTQ | {"is_marlin_format": True}, gptq, "unsupported-layout")
    for version in ("gemv", "gemv_fast", "marlin", "exllama", "ipex", "never-heard-of"):
        # On disk these are gemm to transformers and to GPTQModel: the name chooses a kernel.
        readings = (plain_awq.dense(None),) if version in ("exllama", "ipex", "marlin") else ()
        yield Refusal(f"awq-{version}", AWQ | {"version": version}, awq, "unsupported-layout", readings)
    yield Refusal("awq-backend-llm-awq", AWQ | {"backend": "llm-awq"}, awq, "unsupported-layout")
    for config, tensors in ((GPTQ, gptq), (AWQ, awq)):
        name = config["quant_method"]
        for bits in (1, 5, 6, 7, 16):
            yield Refusal(f"{name}-bits-{bits}", config | {"bits": bits}, tensors, "unsupported-bits")
        yield Refusal(f"{name}-group-size-0", config | {"group_size": 0}, tensors, "bad-config-value")
        lenient = ((v1 if name == "gptq" else plain_awq).dense(None),)
        yield Refusal(f"{name}-group-size-text", config | {"group_size": "32"}, tensors, "bad-config-value", lenient)
        yield Refusal(f"{name}-group-size-contradicted", config | {"group_size": 64}, tensors, "bad-shape")
        yield Refusal(f"{name}-bits-text", config | {"bits": "4"}, tensors, "bad-config-value", lenient)
        yield Refusal(f"{name}-two-group-sizes", config | {"q_group_size": 64}, tensors, "config-contradiction")
        for missing in ("qweight", "qzeros", "scales"):
            yield Refusal(f"{name}-no-{missing}", config, _without(tensors, missing), "missing-tensor")
        for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
            broken = tensors | {"scales": _with(tensors["scales"], (2, 5), pattern)}
            yield Refusal(f"{name}-scale-{label}", config, broken, "non-finite-scales")
        cut = Array("float16", tensors["scales"].bits[:-1])
        yield Refusal(f"{name}-scales-a-row-short", config, tensors | {"scales": cut}, "bad-shape")
        cut = Array("int32", tensors["qzeros"].bits[:, :-1])
        yield Refusal(f"{name}-qzeros-a-word-short", config, tensors | {"qzeros": cut}, "bad-shape")
        floats = Array.of(tensors["qweight"].bits.astype(np.float32))
        yield Refusal(f"{name}-qweight-float", config, tensors | {"qweight": floats}, "bad-dtype")
        integers = Array.of(np.ones((4, 64), np.int32))
        yield Refusal(f"{name}-scales-integer", config, tensors | {"scales": integers}, "unsupported-dtype")
        for axes, shape in (("one-axis", -1), ("three-axes", (2, -1, tensors["qweight"].shape[1]))):
            folded = Array("int32", tensors["qweight"].bits.reshape(shape))
            yield Refusal(f"{name}-qweight-{axes}", config, tensors | {"qweight": folded}, "bad-shape")
        # All of it fits together; there is only no output. A weight without rows is no guess.
        empty = {key: Array(array.dtype, array.bits[:, :0]) for key, array in tensors.items() if key != "g_idx"}
        nothing = Array("float16", np.zeros((0, 128), np.uint16))
        yield Refusal(f"{name}-no-outputs", config, tensors | empty, "bad-shape", (nothing,))
    for label, value in (("too-large", 4), ("far-too-large", 2**31 - 1), ("negative", -1)):
        broken = gptq | {"g_idx": _with(gptq["g_idx"], (77,), value)}
        yield Refusal(f"gptq-g_idx-{label}", GPTQ, broken, "group-index-out-of-range")
    yield Refusal("gptq-desc_act-without-g_idx", GPTQ, _without(gptq, "g_idx"), "missing-tensor")
    halves = {name: Array(gptq[name].dtype, gptq[name].bits[:2]) for name in ("qzeros", "scales")}
    two = GPTQ | {"group_size": 64}
    yield Refusal("gptq-desc_act-two-groups", two, {"qweight": gptq["qweight"], **halves}, "missing-tensor")
    folded = Array("int32", gptq["g_idx"].bits.reshape(2, -1))
    yield Refusal("gptq-g_idx-two-axes", GPTQ, gptq | {"g_idx": folded}, "bad-shape")
    cut = Array("int32", gptq["g_idx"].bits[:-8])
    yield Refusal("gptq-g_idx-short", GPTQ, gptq | {"g_idx": cut}, "bad-shape")
    # With one group, nothing but the count of inputs is wrong.
    whole = GPTQ | {"group_size": -1}
    one = {name: Array(gptq[name].dtype, gptq[name].bits[:1]) for name in ("qzeros", "scales")}
    long = {"qweight": gptq["qweight"], "g_idx": Array.of(np.zeros(136, np.int32)), **one}
    yield Refusal("gptq-g_idx-long", whole, long, "bad-shape")
    scalar = {
        "qweight": Array("int32", gptq["qweight"].bits[:1]),
        "g_idx": Array("int32", np.array(0, np.int32)),
        **one,
    }
    yield Refusal("gptq-g_idx-no-axis", whole, scalar, "bad-shape")
    # Zero points that are all alike excuse the labels gptq and gptq_v2 of a symmetric file, and nothing else.
    sevens = gptq | {"qzeros": Array.of(np.full((4, 8), 0x77777777, np.int32))}
    v1 = parts(GPTQ, sevens)
    v2 = v1.with_(z=v1.z - 1).dense(None)
    yield Refusal("gptq-gptq_v2-sevens", GPTQ | {"checkpoint_format": "gptq_v2"}, sevens, "unsupported-layout", (v2,))
    marlin = GPTQ | {"sym": True, "checkpoint_format": "marlin"}
    yield Refusal("gptq-marlin-symmetric", marlin, sevens, "unsupported-layout", (v2, v1.dense(None)))
    bitblas = GPTQ | {"sym": True, "checkpoint_format": "bitblas"}
    yield Refusal("gptq-bitblas-symmetric", bitblas, sevens, "unsupported-layout")
    for bits in (0, 64):
        config = GPTQ | {"sym": True, "bits": bits}
        yield Refusal(f"gptq-symmetric-bits-{bits}", config, sevens, "unsupported-bits")
    flat = sevens | {"scales": Array("float16", gptq["scales"].bits[0])}
    yield Refusal("gptq-symmetric-scales-one-axis", GPTQ | {"sym": True}, flat, "bad-shape")
    yield Refusal(
        "gptq-labels-disagree", GPTQ | {"format": "gptq", "checkpoint_format": "marlin"}, gptq, "config-contradiction"
    )
    yield Refusal("awq-named-gptq", AWQ | {"quant_method": "gptq", "desc_act": False}, awq, "bad-shape")
    yield Refusal("gptq-named-awq", GPTQ | {"quant_method": "awq"}, _without(gptq, "g_idx"), "bad-shape")
    # Four groups of 32 inputs, and one of 8.
    short = {
        name: Array(awq[name].dtype, np.resize(awq[name].bits, (5, awq[name].shape[1])))
        for name in ("qzeros", "scales")
    }
    short["qweight"] = Array("int32", np.resize(awq["qweight"].bits, (136, 8)))
    yield Refusal("awq-short-last-group", AWQ, short, "bad-shape")
    yield Refusal("awq-with-g_idx", AWQ, awq | {"g_idx": gptq["g_idx"]}, "unexpected-tensor")


def unreadable() -> Iterator[Case]:
    """Inputs with one thing wrong."""
    for refusal in refusals():
        yield Case(refusal.id, partial(_declined, refusal))


def _declined(refusal: Refusal, subject: Any, _: Any) -> Verdict:
    return declined(decode(subject, refusal.config, refusal.tensors), refusal.code)
