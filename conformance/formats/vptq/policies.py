"""Where one module of VPTQ is described or stored in two ways (reasons: docs/policies.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import GROUP, IN, INDICES, LAYERS, METHOD, OUT, RESIDUALS, SHARED, Kind, alone, laid, settings

SLUG = "vptq"
# Fields of VQuantLinear that say nothing of a packed weight, or nothing but what always holds.
_SILENT = ("bias", "indices_as_float", "is_indice_packed", "vector_quant_dim", IN, OUT)
_OUT, _IN = 32, 45


def spellings() -> Iterator[Spelling]:
    draw, kind = Draw(f"{SLUG}-spellings"), Kind(6, 3, 4)
    plain = settings(kind, out_features=_OUT, in_features=_IN, group_size=_IN)
    tensors = laid(
        kind,
        draw.below(64, 1, _OUT // 4, _IN),
        draw.scales("float16", "any-finite", 1, 64, 4),
        residuals=(draw.below(8, 1, _OUT // 4, _IN), draw.scales("float16", "ordinary", 1, 8, 4)),
        perm=draw.shuffled(np.arange(_IN)),
        norm=(draw.scales("float16", "ordinary", _IN), draw.scales("float16", "negative", _IN)),
    )

    def spelling(id: str, config: Mapping[str, Any], own: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", dict(config), dict(own), alone(plain), tensors)

    for key in _SILENT:
        yield spelling(f"no-{key}", alone({name: value for name, value in plain.items() if name != key}))
    yield spelling("sizes-of-the-model", alone(plain | {OUT: -1, IN: -1, GROUP: -1}))
    yield spelling("an-error-of-training", alone(plain | {"enable_proxy_error": False}))
    yield spelling("shared", {"quant_method": METHOD, LAYERS: {}, SHARED: {"up_proj": plain}})
    yield spelling("layers-before-shared", alone(plain) | {SHARED: {"up_proj": settings(Kind(3))}})
    yield spelling("left-out", alone(plain) | {"modules_to_not_convert": ["up_proj", ""]})
    # Bits after the last field of a row are padding.
    words = tensors[INDICES].bits.copy()
    words[..., -1] |= np.uint32((0xFFFFFFFF << (_IN * kind.total % 32)) & 0xFFFFFFFF).view(np.int32)
    yield spelling("padding-of-ones", alone(plain), tensors | {INDICES: Array.of(words)})
    few = settings(Kind(6, 0, 4), out_features=_OUT, in_features=_IN, group_size=_IN)
    bare = {name: array for name, array in tensors.items() if name != "res_centroids.weight"}
    single = bare | {INDICES: laid(Kind(6, 0, 4), draw.below(64, 1, _OUT // 4, _IN), _table(bare))[INDICES]}
    zero = few | {RESIDUALS: [-1, 0]}
    yield Spelling(f"{SLUG}-residuals-0", f"{SLUG}-residuals-0", alone(zero), single, alone(few), single)
    yield from nulls(SLUG, alone(plain), tensors, (SHARED, "modules_to_not_convert"))
    yield from upper_case(SLUG, alone(plain), tensors, {"quant_method": METHOD})


def _table(tensors: Tensors) -> Array:
    """The codebook of a module as [1, entries, 4]."""
    own = tensors["centroids.weight"]
    return Array(own.dtype, own.bits.reshape(1, -1, 4))


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    return upstream["python"]
