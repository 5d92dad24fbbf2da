"""SINQ modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..folder import MODULES
from ..module import Refusal
from .packing import META, METHOD, described, laid, meta, parts


def refusals() -> Iterator[Refusal]:
    draw, own = Draw("sinq-refusals"), meta(4, 32, (64, 128))
    plain = described(own)
    scales, zeros = draw.scales("float16", "ordinary", 256), draw.scales("float16", "ordinary", 256)
    columns, codes = draw.scales("float16", "ordinary", 1, 128), draw.below(16, 64, 128)
    tensors = laid(codes, zeros, scales, columns, bits=4, group=32)
    weight = parts(plain, tensors).dense(None)

    def one(id: str, code: str, said: dict[str, Any] | None = None, /, **changed: Array) -> Refusal:
        given = {name.replace("_of_", "."): array for name, array in changed.items()}
        return Refusal(f"sinq-{id}", plain if said is None else described(own | said), tensors | given, code)

    def lenient(id: str, code: str, said: dict[str, Any]) -> Refusal:
        """What a reader may not look at."""
        return Refusal(f"sinq-{id}", described(own | said), tensors, code, (weight,))

    for label, packing in (("unheard-of", "7bit_u8"), ("number", 4), ("null", None)):
        yield lenient(f"packing-{label}", "unsupported-layout", {"packing": packing})
    for bits in (0, 3, 8, 2.5, "4", True, None):
        yield lenient(f"nbits-{bits}", "config-contradiction", {"nbits": bits})
    yield lenient("nf4-in-8-bits", "unsupported-bits", {"method": "sinq_nf4", "packing": "8bit_u8", "nbits": 8})
    yield lenient("nf3-in-4-bits", "unsupported-bits", {"method": "sinq_nf3"})
    for axis in (0, 2, "1", None, True):
        yield lenient(f"axis-{axis}", "bad-config-value", {"axis": axis})
    for size in (0, "32", True, -32):
        yield lenient(f"group-size-{size}", "bad-config-value", {"group_size": size})
    for label, method in (("null", None), ("number", 4)):
        yield lenient(f"method-{label}", "bad-config-value", {"method": method})
    for label, dtype in (("float64", "torch.float64"), ("code", "__import__('os').abort()"), ("number", 16)):
        yield lenient(f"compute_dtype-{label}", "bad-config-value", {"compute_dtype": dtype})
    for label, shape in (
        ("of-one", [64]),
        ("of-three", [64, 128, 1]),
        ("negative", [-64, -128]),
        ("empty", []),
        ("text", "64x128"),
        ("of-floats", [64.0, 128.0]),
        ("endless", [1] * 4096),
    ):
        yield lenient(f"shape-{label}", "bad-config-value", {"shape": shape})
    yield one("shape-of-another", "bad-shape", {"shape": [64, 64]})
    yield one("shape-huge", "bad-shape", {"shape": [2**30, 2**30]})
    yield one("shape-turned", "bad-shape", {"shape": [128, 64]})
    yield Refusal(
        "sinq-no-shape", described({k: v for k, v in own.items() if k != "shape"}), tensors, "bad-config-value"
    )
    yield one("bytes-as-floats", "unsupported-layout", {"view_as_float": True})
    yield lenient("view_as_float-text", "bad-config-value", {"view_as_float": "no"})
    for label, entry in (("nothing", None), ("text", "W4"), ("no-meta", {}), ("meta-text", {META: "4bit"})):
        yield Refusal(
            f"sinq-described-by-{label}", plain | {MODULES: {"": entry}}, tensors, "bad-config-value", (weight,)
        )
    for label, entries in (("list", []), ("empty", {}), ("number", 4)):
        yield Refusal(f"sinq-modules-{label}", plain | {MODULES: entries}, tensors, "bad-config-value", (weight,))
    yield Refusal("sinq-not-described", {"quant_method": METHOD, "nbits": 4, "group_size": 32}, tensors,
                  "bad-config-value", (weight,))  # fmt: skip
    for name in ("meta.scale", "meta.zero", "meta.scale2"):
        yield Refusal(f"sinq-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        for name, place in (("meta.scale", (5, 0)), ("meta.zero", (5, 0)), ("meta.scale2", (0, 5))):
            broken = tensors | {name: common.changed(tensors[name], place, pattern)}
            yield Refusal(f"sinq-{name}-{label}", plain, broken, "non-finite-scales")
    for name in ("meta.scale", "meta.zero", "meta.scale2"):
        array = tensors[name]
        cut = array.bits[:-1] if len(array.bits) > 1 else array.bits[:, :-1]
        yield Refusal(f"sinq-{name}-short", plain, tensors | {name: Array("float16", cut)}, "bad-shape")
        turned = Array("float16", np.ascontiguousarray(array.bits.T))
        yield Refusal(f"sinq-{name}-turned", plain, tensors | {name: turned}, "bad-shape", (weight,))
        flat = Array("float16", array.bits.reshape(-1))
        yield Refusal(f"sinq-{name}-of-one-axis", plain, tensors | {name: flat}, "bad-shape", (weight,))
        whole = Array.of(np.ones(array.shape, np.int32))
        yield Refusal(f"sinq-{name}-integer", plain, tensors | {name: whole}, "unsupported-dtype")
    wide = Array.of(tensors["meta.zero"].float64().astype(np.float32))
    yield Refusal("sinq-zero-of-another-dtype", plain, tensors | {"meta.zero": wide}, "bad-dtype", (weight,))
    yield from _words(plain, tensors)
    yield from _apart(own, tensors)
    yield Refusal("sinq-with-awq_scale", plain, tensors | {"meta.awq_scale": columns}, "unexpected-tensor", (weight,))
    yield Refusal("sinq-with-g_idx", plain, tensors | {"g_idx": Array.of(np.arange(128, dtype=np.int32) // 32)},
                  "unexpected-tensor", (weight,))  # fmt: skip


def _words(plain: dict[str, Any], tensors: dict[str, Array]) -> Iterator[Refusal]:
    words = tensors["W_q"].bits
    for id, code, changed in (
        ("int32", "bad-dtype", words.astype(np.int32)),
        ("float16", "bad-dtype", words.astype(np.float16)),
        ("a-row-short", "bad-shape", words[:-1]),
        ("a-column-short", "bad-shape", np.ascontiguousarray(words[:, :-1])),
        ("of-one-axis", "bad-shape", words.reshape(-1)),
        ("of-three-axes", "bad-shape", words[None]),
        ("empty", "bad-shape", words[:0]),
        ("of-48-columns", "bad-shape", np.zeros((86, 48), np.uint8)),
    ):
        yield Refusal(f"sinq-W_q-{id}", plain, tensors | {"W_q": Array.of(changed)}, code)


def _apart(own: dict[str, Any], tensors: dict[str, Array]) -> Iterator[Refusal]:
    """Scales and zero points that are packed themselves."""
    half = Array.of(np.full((1, 8), 0.5, np.float16))
    packed = {"x": Array.of(np.ones((32, 8), np.uint8)), "s": half, "m": half}
    apart = {key: value for key, value in tensors.items() if key != "meta.scale"}
    apart |= {f"meta.scale.{leaf}": array for leaf, array in packed.items()}
    said = own | {"method": "sinq_quantAux", "scale.shape": [256, 1]}
    for label, shape in (("of-another", [128, 1]), ("in-a-row", [1, 256]), ("empty", [])):
        yield Refusal(f"sinq-scale-shape-{label}", described(said | {"scale.shape": shape}), apart, "bad-shape")
    yield Refusal("sinq-scale-shape-text", described(said | {"scale.shape": "256"}), apart, "bad-config-value")
    yield Refusal("sinq-packed-scales-not-said", described(said | {"method": "sinq"}), apart, "config-contradiction")
    yield Refusal(
        "sinq-packed-scales-without-shape", described(own | {"method": "sinq_quantAux"}), apart, "missing-tensor"
    )
    for leaf in "xsm":
        lacking = common.without(apart, f"meta.scale.{leaf}")
        yield Refusal(f"sinq-no-scale-{leaf}", described(said), lacking, "missing-tensor")
    both = apart | {"meta.scale": tensors["meta.scale"]}
    yield Refusal("sinq-scales-twice", described(said), both, "unexpected-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00)):
        for leaf in "sm":
            broken = apart | {f"meta.scale.{leaf}": common.changed(half, (0, 3), pattern)}
            yield Refusal(f"sinq-packed-scales-{leaf}-{label}", described(said), broken, "non-finite-scales")
    huge = Array.of(np.full((1, 8), 6e4, np.float16))
    beyond = apart | {"meta.scale.s": huge, "meta.scale.m": huge}
    yield Refusal("sinq-packed-scales-beyond", described(said), beyond, "non-finite-scales")
    for label, array, code in (
        ("x-int8", Array.of(np.ones((32, 8), np.int8)), "bad-dtype"),
        ("x-of-one-axis", Array.of(np.ones(256, np.uint8)), "bad-shape"),
        ("s-short", Array.of(np.ones((1, 7), np.float16)), "bad-shape"),
        ("m-float32", Array.of(np.ones((1, 8), np.float32)), "bad-dtype"),
    ):
        leaf = f"meta.scale.{label[0]}"
        yield Refusal(f"sinq-packed-scales-{label}", described(said), apart | {leaf: array}, code)
