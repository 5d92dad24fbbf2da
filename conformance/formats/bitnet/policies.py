"""Where one module of BitNet is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import CLASS, METHOD, MODE, MULTIPLIED, NORM, SCALE, described, pack

SLUG = "bitnet"


def spellings() -> Iterator[Spelling]:
    draw, plain, multiplied = Draw(f"{SLUG}-spellings"), described(), described(MULTIPLIED)
    codes = draw.below(3, 24, 40)
    tensors = pack(codes, codes, draw.scales("bfloat16", "ordinary", 1))

    def spelling(id: str, config: Config, own: Tensors = tensors, of: Config = plain, policy: str = "") -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{policy or id}", dict(config), dict(own), dict(of), tensors)

    def lacking(config: Config, key: str) -> Config:
        return {name: value for name, value in config.items() if name != key}

    yield spelling("method-alone", {"quant_method": METHOD})
    yield spelling("no-class", lacking(plain, CLASS))
    yield spelling("no-mode", lacking(plain, MODE))
    yield spelling("autobitlinear-no-mode", lacking(multiplied, MODE), of=multiplied, policy="no-mode")
    yield spelling("no-norm", plain | {NORM: False, "rms_norm_eps": 1e-6})
    yield spelling("all-left-out", plain | {"modules_to_not_convert": [".*"]})
    scalar = Array(tensors[SCALE].dtype, tensors[SCALE].bits.reshape(()))
    yield spelling("scale-without-axes", plain, tensors | {SCALE: scalar})
    yield from nulls(SLUG, plain, tensors, (CLASS, MODE, NORM, "modules_to_not_convert"))
    yield from upper_case(SLUG, plain, tensors, {"quant_method": METHOD})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
