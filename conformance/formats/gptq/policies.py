"""Where upstream readers, labels or producers disagree about GPTQ, the answer due (reasons: docs/policies.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, repeated, words
from ...bits.rounding import nearest
from ..dialects import autoround
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import AUTOROUND_ALONE, SWAPPED, WIDTHS, config, pack, spelled, stored_zeros, width


def disputed(flags: frozenset[str]) -> bool:
    """A stored zero point of all ones is 2**bits to one of AutoGPTQ's readers and, but for 3 bits, 0 to the other.

    AutoRound reads 2**bits, and does not undo the borrows of its own packer.
    """
    return "stored-zero-all-ones" in flags or {"borrowed-zeros", "producer-autoround"} <= flags


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    """Upstream's answer with a zero point of 0 wherever the stored field is all ones.

    ``qlinear_cuda_old`` gives exactly that, but for 3 bits, where it does not wrap either. Where only ``qlinear_cuda``
    can read the file (act-order), and at 3 bits, the weights are kept except in the disputed places, which are
    ``RN(s * q)``. Of AutoRound's, the weights are those that were packed.
    """
    if "packed" in upstream:
        return upstream["packed"]
    answer, bits = upstream["cuda"], width(config)
    if "cuda_old" in upstream and bits != 3:
        return upstream["cuda_old"]
    group = tensors["g_idx"].bits
    ones = (1 << bits) - 1 == stored_zeros(config, tensors)[group].T
    codes = fields(tensors["qweight"].bits, 0, bits).T[:, : len(group)]
    product = nearest(tensors["scales"].float64()[group].T * codes, answer.dtype)
    return Array(answer.dtype, np.where(ones, product.bits, answer.bits))


def spellings() -> Iterator[Spelling]:
    """Two ways to store one module, at every width; and to spell its settings, which no width has a part in."""
    yield from _spelt()
    for bits in WIDTHS:
        suffix = "" if bits == WIDTHS[0] else f"-{bits}bit"
        for id, settings, given, plain_settings, plain in (*_of_width(bits), *_autoround(bits)):
            yield Spelling(id + suffix, id, spelled(settings), given, spelled(plain_settings), plain)


# Versions of GPTQModel that subtracted from whole words: at 3 bits only those before 7.0, with constants of their own.
_BORROWING = {bits: () if bits in AUTOROUND_ALONE else ("0.9.0", "1.4.2", "7.7.0") for bits in WIDTHS}
_BORROWING |= {3: ("1.8.0", "5.8.0", "6.0.3")}
_Pair = tuple[str, dict[str, Any], dict[str, Array], dict[str, Any], dict[str, Array]]


_OPTIONAL: tuple[str, ...] = (
    "checkpoint_format",
    "damp_percent",
    "desc_act",
    "dynamic",
    "format",
    "group_size",
    "is_marlin_format",
)
_OPTIONAL += ("lm_head", "meta", "method", "modules_in_block_to_quantize", "q_group_size", "quantizer", "static_groups")
_OPTIONAL += ("sym", "true_sequential", "w_bit", "wbits")


def _spelt() -> Iterator[Spelling]:
    # One group, which is what no group size means; zero points that are not all alike, so that sym is of no concern.
    draw, settings = Draw("gptq-spellings"), config(4, -1)
    codes, zeros = draw.below(16, 64, 128), 1 + draw.below(15, 1, 64)
    tensors = pack(codes, zeros, draw.scales("float16", "ordinary", 1, 64), np.zeros(128))
    yield from nulls("gptq", settings, tensors, _OPTIONAL)
    old = {key: value for key, value in settings.items() if key != "quant_method"}
    yield from nulls("gptq", old, tensors, ("quant_method",))
    names = {"quant_method": "gptq", "checkpoint_format": "gptq", "format": "gptq"}
    yield from upper_case("gptq", settings, tensors, names)
    v2 = pack(codes, zeros, tensors["scales"], np.zeros(128), version=2)
    yield from upper_case("gptq-v2", settings, v2, dict.fromkeys(("checkpoint_format", "format"), "gptq_v2"))


def _of_width(bits: int) -> Iterator[_Pair]:
    rng = np.random.default_rng(20261123)
    limit, middle = 1 << bits, 1 << (bits - 1)
    groups, out, inputs = 4, 64, 128
    qweight = Array.of(rng.integers(-(2**31), 2**31, (inputs * bits // 32, out), dtype=np.int32))
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    base = {"quant_method": "gptq", "bits": bits, "group_size": 32, "desc_act": False}
    asymmetric, symmetric = base | {"sym": False}, base | {"sym": True}

    def tensors(stored: np.ndarray | None) -> dict[str, Array]:
        rest = {} if stored is None else {"qzeros": Array.of(words(stored, bits))}
        return {"qweight": qweight, "scales": scales, **rest}

    zeros = rng.integers(0, limit, (groups, out), dtype=np.uint32)
    zeros[0, :8] = np.array([8, 0, 5, 7, 0, 0, 3, 9]) % limit
    per_field = tensors((zeros - 1) % limit)
    for version in _BORROWING[bits]:
        meta = {"meta": {"quantizer": [f"gptqmodel:{version}"]}, "checkpoint_format": "gptq"}
        columns = words(zeros, bits).view(np.uint32)
        lacking = np.resize(SWAPPED, columns.shape[1]) if bits == 3 else np.uint32(repeated(1, bits))
        borrowed = (columns - lacking).view(np.int32)
        given = per_field | {"qzeros": Array.of(borrowed)}
        yield f"gptqmodel-{version}-borrow", base | meta | {"sym": False}, given, asymmetric, per_field

    if bits == 3:
        meta = {"meta": {"quantizer": ["gptqmodel:7.7.0"]}, "checkpoint_format": "gptq"}
        yield "gptqmodel-7.7.0-fields", base | meta | {"sym": False}, per_field, asymmetric, per_field
        fours = words(np.full((groups, out), 4), bits).view(np.uint32) - np.resize(SWAPPED, 6)
        given = per_field | {"qzeros": Array.of(fours.view(np.int32))}
        for id, settings in (("swapped-zeros", symmetric), ("swapped-zeros-where-sym-is-absent", base)):
            yield id, settings, given, symmetric, tensors(np.full((groups, out), 3))
    plain, lying = tensors(np.full((groups, out), middle - 1)), tensors(np.full((groups, out), middle))
    yield "v1-label-stores-eights", symmetric | {"checkpoint_format": "gptq"}, lying, symmetric, plain
    yield "v2-label-stores-sevens", symmetric | {"checkpoint_format": "gptq_v2"}, plain, symmetric, plain
    yield "symmetric-without-qzeros", symmetric, tensors(None), symmetric, plain
    # AutoGPTQ's readers never look at sym, so a symmetric file whose zero points differ is read as it is stored.
    yield "symmetric-with-other-zeros", symmetric, per_field, asymmetric, per_field
    # One field that differs is enough: the label of such a file is not shown to be wrong.
    for id, other in (("eights-in-all-fields-but-one", middle - 1), ("eights-and-a-nine", middle + 1)):
        nearly = np.full((groups, out), middle, np.uint32)
        nearly[-1, -1] = other % limit
        yield id, symmetric, tensors(nearly), asymmetric, tensors(nearly)
    # Where sym is not said, it is true to every producer: zero points that all lie in the middle bear that out.
    yield "eights-where-sym-is-absent", base, lying, symmetric, plain
    yield "no-qzeros-where-sym-is-absent", base, tensors(None), symmetric, plain
    v2 = asymmetric | {"checkpoint_format": "gptq_v2"}
    yield "version-2", v2, tensors(zeros), asymmetric, per_field
    yield (
        "version-2-of-gptqmodel",
        v2 | {"meta": {"quantizer": ["gptqmodel:7.7.0"]}},
        tensors(zeros),
        asymmetric,
        per_field,
    )
    next_up = tensors(np.full((groups, out), middle + 1))
    yield "eights-of-an-asymmetric-file", asymmetric, lying, v2, next_up
    sequential = Array.of(np.arange(inputs, dtype=np.int32) // 32)
    yield "g_idx-in-order", symmetric, plain | {"g_idx": sequential}, symmetric, plain
    static = symmetric | {"desc_act": True, "static_groups": True}
    yield "static-groups-without-g_idx", static, plain, symmetric, plain
    # With one group there is nothing to order, so no map is missing.
    one = plain | {name: Array(plain[name].dtype, plain[name].bits[:1]) for name in ("qzeros", "scales")}
    whole = symmetric | {"group_size": -1}
    yield "one-group-without-g_idx", whole | {"desc_act": True}, one, whole, one
    # 128 inputs are a group of 96 and one of 32.
    two = plain | {name: Array(plain[name].dtype, plain[name].bits[:2]) for name in ("qzeros", "scales")}
    short = symmetric | {"group_size": 96}
    unequal = Array.of(np.arange(inputs, dtype=np.int32) // 96)
    yield "short-last-group-without-g_idx", short, two, short, two | {"g_idx": unequal}
    # Real matrices have thousands of inputs; all others of the suite have few.
    long = {
        "qweight": Array.of(rng.integers(-(2**31), 2**31, (2080 * bits // 32, 8), dtype=np.int32)),
        "qzeros": Array.of(rng.integers(-(2**31), 2**31, (65, -(-8 * bits // 32)), dtype=np.int32)),
        "scales": Array.of((rng.integers(1, 1 << 11, (65, 8)) * 2.0**-14).astype(np.float16)),
    }
    sequential = Array.of(np.arange(2080, dtype=np.int32) // 32)
    yield "g_idx-in-order-of-2080", asymmetric, long | {"g_idx": sequential}, asymmetric, long


def _autoround(bits: int) -> Iterator[_Pair]:
    """What AutoRound calls GPTQ's two versions, and the zero points of its packer before 0.16."""
    rng = np.random.default_rng(20261125 + bits)
    groups, out, inputs, limit = 4, 64, 128, 1 << bits
    zeros = rng.integers(0, limit, (groups, out), dtype=np.uint32)
    zeros[0, :8] = np.array([8, 0, 5, 7, 0, 0, 3, 9]) % limit
    rest = {
        "qweight": Array.of(rng.integers(-(2**31), 2**31, (inputs * bits // 32, out), dtype=np.int32)),
        "scales": Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16)),
    }
    own = autoround.PLAIN | {"bits": bits, "group_size": 32, "sym": False}
    plain = {"quant_method": "gptq", "bits": bits, "group_size": 32, "sym": False, "desc_act": False}
    if bits in AUTOROUND_ALONE:
        plain = own | {"packing_format": autoround.LESS_ONE}
    less_one = rest | {"qzeros": Array.of(words((zeros - 1) % limit, bits))}
    raw = rest | {"qzeros": Array.of(words(zeros, bits))}
    for id, settings in (
        ("auto_gptq", {"packing_format": "auto_round:auto_gptq"}),
        ("gptq", {"packing_format": "auto_round:gptq"}),
        ("without-a-label", {}),
        ("backend-gptq", {"backend": "auto_round:gptq:exllamav2"}),
        ("intel", {"quant_method": "intel/auto-round", "packing_format": "auto_round:auto_gptq"}),
    ):
        yield f"autoround-{id}", own | settings, less_one, plain, less_one
    for id, settings in (
        ("auto_round", {"packing_format": "auto_round", "autoround_version": "0.16.1"}),
        ("gptqmodel", {"packing_format": "auto_round:gptqmodel"}),
        ("backend-exllamav2", {"backend": "auto_round:exllamav2"}),
    ):
        yield f"autoround-{id}", own | settings, raw, plain, less_one
    for version in ("0.7.1", "0.15.0") if bits in (2, 4, 8) else ():
        settings = {"packing_format": autoround.LESS_ONE, "autoround_version": version}
        borrowed = (words(zeros, bits).view(np.uint32) - np.uint32(repeated(1, bits))).view(np.int32)
        yield f"autoround-{version}-borrow", own | settings, rest | {"qzeros": Array.of(borrowed)}, plain, less_one
    settings = {"packing_format": autoround.LESS_ONE, "autoround_version": "0.16.0"}
    yield "autoround-0.16.0-fields", own | settings, less_one, plain, less_one
