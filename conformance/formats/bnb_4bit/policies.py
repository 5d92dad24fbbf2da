"""Where one 4-bit module of bitsandbytes is stored in two ways, and the zero on which its readers part
(reasons: docs/policies.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..dialects import bitsandbytes as dialect
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import MAP, STATE, described, pack, parts

# A code of FP4 that is -0 to the compiled kernels, and 0 to the operation in PyTorch.
MINUS_ZERO = 8


def spellings() -> Iterator[Spelling]:
    rng = np.random.default_rng(20261129)
    codes = rng.integers(0, 16, (24, 40))
    scales = Array.of((rng.random(15) + 0.01).astype(np.float32))
    plain, tensors = dialect.config("nf4"), pack(codes, codes, scales, dtype="float16")

    def spelling(id: str, config: Config, own: Tensors = tensors) -> Spelling:
        return Spelling(f"bnb_4bit-{id}", f"bnb_4bit-{id}", dict(config), dict(own), plain, tensors)

    unnamed = {key: value for key, value in plain.items() if key != "quant_method"}
    yield spelling("no-quant_method", unnamed)
    underlined = {key: value for key, value in plain.items() if key not in dialect.KEYS}
    yield spelling("underlined", underlined | {"_load_in_4bit": True, "_load_in_8bit": False})
    yield spelling("both-spellings", plain | {"_load_in_4bit": True, "_load_in_8bit": False})
    yield spelling("no-load_in_8bit", {key: value for key, value in plain.items() if key != "load_in_8bit"})
    # The tensors say what a module is, whatever transformers was asked for.
    yield spelling("labelled-fp4", plain | {"bnb_4bit_quant_type": "fp4"})
    yield spelling("labelled-double", plain | {"bnb_4bit_use_double_quant": True})
    yield spelling("skip-modules", plain | {"llm_int8_skip_modules": ["lm_head"]})
    for storage in ("int8", "float16", "bfloat16", "float32"):
        own = pack(codes, codes, scales, dtype="float16", storage=storage)
        yield spelling(f"stored-as-{storage}", plain | {"bnb_4bit_quant_storage": storage}, own)
    half = Array.of(np.ldexp(rng.integers(1, 2048, 15), -12).astype(np.float16))
    wide = Array.of(half.float64().astype(np.float32))
    narrow = pack(codes, codes, half, dtype="float16")
    yield Spelling("bnb_4bit-half-absmax", "bnb_4bit-half-absmax", plain, narrow, plain,
                   narrow | {"weight.absmax": wide})  # fmt: skip
    near = Array.of(np.nextafter(tensors[MAP].bits.view(np.float32), np.float32(2)))
    yield spelling("map-off-by-a-bit", plain, tensors | {MAP: near})
    said = json.loads(tensors[STATE + "nf4"].bits.tobytes())
    loose = described(json.dumps(dict(reversed(said.items())), indent=2))
    yield spelling("json-otherwise-written", plain, tensors | {STATE + "nf4": loose})
    yield from nulls("bnb_4bit", plain, tensors, ("load_in_8bit", "llm_int8_skip_modules"))
    yield from upper_case("bnb_4bit", plain, tensors, {"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "nf4"})


def disputed(flags: frozenset[str]) -> bool:
    """Rows of odd length are read in PyTorch, where FP4 has but one zero."""
    return "zero-of-either-sign" in flags


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    """What PyTorch reads, with the sign that the kernels give to a code."""
    found, own = upstream["torch"], parts(config, tensors)
    sign = 1 << (8 * found.bits.itemsize - 1)
    signed = np.where(own.spread(own.s) < 0, 0, sign).astype(found.bits.dtype)
    return Array(found.dtype, np.where(own.q == MINUS_ZERO, signed, found.bits))
