"""Where one SINQ module is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..folder import MODULES
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import META, PACKINGS, described, laid, meta

SLUG = "sinq"
# What changes no weight, or is said by the tensors.
UNREAD = ("group_size", "awq_scale", "unpack_view_dtype", "view_as_float")


def spellings() -> Iterator[Spelling]:
    draw, own = Draw(f"{SLUG}-spellings"), meta(4, 32, (32, 64))
    codes = draw.below(16, 32, 64)
    scales, zeros, columns = (draw.scales("float16", "ordinary", *shape) for shape in ((64,), (64,), (1, 64)))
    plain, tensors = described(own), laid(codes, zeros, scales, columns, bits=4, group=32)

    def spelling(id: str, config: Config, given: Tensors = tensors, other: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", dict(config), dict(given), plain, dict(other))

    for name in UNREAD:
        yield spelling(f"no-{name}", described({key: value for key, value in own.items() if key != name} | (
            {"group_size": None} if name == "group_size" else {})))  # fmt: skip
    yield spelling("no-compute_dtype", described({key: value for key, value in own.items() if key != "compute_dtype"}))
    # The group size of a matrix whose inputs it does not divide is that of the first try.
    yield spelling("labelled-g64", described(own | {"group_size": 64}))
    for method in ("dual", "sinq_awq_l1", "SINQ_noz", "hqq"):
        yield spelling(f"method-{method}", described(own | {"method": method}))
    entries: dict[str, Any] = {MODULES: {"": {META: own}}}
    configs: dict[str, dict[str, Any]] = {
        "described-alone": {},
        "patched": {"sinq": True, "backend": "sinq", "quantization_method": "sinq", "sinq_version": "auto"},
        "asinq": {"quant_method": "sinq", "method": "asinq", "nbits": 4, "tiling_mode": "1D"},
        "is_sinq": {"is_sinq": True},
    }
    for id, said in configs.items():
        yield spelling(id, said | entries)
    # Two scales of inputs for bands of outputs that are alike, as tiles have them.
    small = meta(4, 16, (32, 48))
    cut, tall = draw.below(16, 32, 48), draw.scales("float16", "ordinary", 1, 48)
    rows, points = draw.scales("float16", "ordinary", 96), draw.scales("float16", "ordinary", 96)
    both = Array("float16", np.repeat(tall.bits, 2, axis=0))
    yield Spelling(
        f"{SLUG}-tiles-alike",
        f"{SLUG}-tiles-alike",
        described(small),
        laid(cut, points, rows, both, bits=4, group=16, tiles=True),
        described(small),
        laid(cut, points, rows, tall, bits=4, group=16),
    )
    one = Array("float16", np.full(64, 0x4700, np.uint16))
    single = laid(codes, Array("float16", one.bits[:1].reshape(())), scales, columns, bits=4, group=32)
    yield spelling("one-zero", plain, single, laid(codes, one, scales, columns, bits=4, group=32))
    yield from _filled(draw)
    yield from nulls(SLUG, plain, tensors, ("modules_to_not_convert",))
    yield from upper_case(SLUG, plain, tensors, {"quant_method": "sinq"})


def _filled(draw: Draw) -> Iterator[Spelling]:
    """What fills the last words of 3 bits is no weight, and two bits of a word hold no code."""
    count, rows = PACKINGS[3][1], 17
    three = described(meta(3, 32, (rows, 32)))
    scales, zeros = draw.scales("float16", "ordinary", rows), draw.scales("float16", "ordinary", rows)
    columns = draw.scales("float16", "ordinary", 1, 32)
    short = laid(draw.below(8, rows, 32), zeros, scales, columns, bits=3, group=32)
    words = short["W_q"].bits
    spare = words.copy()
    for row in range(rows, count * len(words)):
        spare[row % len(words)] |= np.int32(7 << 3 * (count - 1 - row // len(words)))
    for id, changed in (("filled-words", spare), ("high-bits", words | np.int32(-(1 << 30)))):
        given = short | {"W_q": Array.of(changed)}
        yield Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", three, given, three, short)


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
