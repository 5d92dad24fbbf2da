"""Where one HQQ module is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import PACKINGS, config, pack_floats, settings

SLUG = "hqq"
# What a module may lack: old releases wrote none of it, or it changes no weight.
OPTIONAL = (
    *("compute_dtype", "unpack_view_dtype", "view_as_float", "quant_zero", "quant_scale", "channel_wise"),
    *("optimize", "round_zero", "offload_meta", "encoded_state_dict", "stores_quant_config"),
)


def spellings() -> Iterator[Spelling]:
    draw, plain = Draw(f"{SLUG}-spellings"), config(4, 32)
    codes = draw.below(16, 32, 64)
    scales, zeros = draw.scales("float16", "ordinary", 64), draw.scales("float16", "ordinary", 64)
    tensors = pack_floats(codes, zeros, scales, group=32)

    def spelling(id: str, config: Config, own: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", dict(config), dict(own), plain, tensors)

    yield spelling("as-float", config(4, 32, as_float=True), pack_floats(codes, zeros, scales, group=32, as_float=True))
    for name in OPTIONAL:
        yield spelling(f"no-{name}", plain, {key: array for key, array in tensors.items() if key != name})
    yield spelling("wide-axis", plain, tensors | {"axis": Array.of(np.array(1, np.int64))})
    yield spelling("one-axis-more", plain, tensors | {"group_size": Array.of(np.array([32], np.int32))})
    # Tensors decide, whatever the configuration says.
    for label, said in (("8bit", (8, 32, 1)), ("g64", (4, 64, 1)), ("axis-0", (4, 32, 0))):
        yield spelling(f"labelled-{label}", config(*said))
    tags = plain | {"quant_config": {"self_attn.q_proj": settings(4, 32), "mlp.up_proj": None}}
    yield spelling("tags", tags)
    bare = {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 32}}}
    yield spelling("bare", bare)
    # What fills the last words of 3 bits is no weight.
    rows = 17
    odd = draw.below(8, rows, 32)
    own, points = draw.scales("float16", "ordinary", rows), draw.scales("float16", "ordinary", rows)
    short = pack_floats(odd, points, own, bits=3, group=32)
    words = short["W_q"].bits
    # Row r of the codes lies in row r % n of n rows of words; the first of them highest.
    count, spare = PACKINGS[3][1], words.copy()
    for row in range(rows, count * len(words)):
        spare[row % len(words)] |= np.int32(7 << 3 * (count - 1 - row // len(words)))
    filled = Array.of(spare)
    three = config(3, 32)
    yield Spelling(f"{SLUG}-filled-words", f"{SLUG}-filled-words", three, short | {"W_q": filled}, three, short)
    # Two bits of a word hold no code.
    high = Array.of(words | np.int32(-(1 << 30)))
    yield Spelling(f"{SLUG}-high-bits", f"{SLUG}-high-bits", three, short | {"W_q": high}, three, short)
    yield from nulls(SLUG, plain, tensors, ("skip_modules",))
    yield from upper_case(SLUG, plain, tensors, {"quant_method": "hqq"})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
