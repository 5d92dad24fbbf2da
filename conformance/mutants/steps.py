"""Faults in reading QQQ: its order of codes, its two scales, and the integers between them."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.fields import fields
from ..formats.gptq_marlin.packing import FRAGMENTS as MARLIN
from ..formats.parts import Integer
from ..formats.qqq.packing import ZERO, codes_of, fragments, group_size, grown_of, has_groups, integers
from .model import Bug, Config, Mutant, Tensors
from .wrap import spoilt

QQQ = ("qqq",)
_SOURCE = ("https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/nn_modules/qlinear/qqq.py",)


def _by(order: np.ndarray, config: Config, tensors: Tensors) -> np.ndarray:
    """Integers of codes that are taken out of the tiles in another order."""
    tiles, grouped = tensors["B"].bits, has_groups(config, tensors)
    rows, out = len(tiles), tiles.shape[1] // 2
    found = np.empty((rows * out // 64, 1024), np.int64)
    found[:, order] = fields(tiles, 1).reshape(found.shape)
    nibbles = found.reshape(rows, out // 64, 16, 64).transpose(1, 3, 0, 2).reshape(out, 16 * rows)
    return integers(nibbles if grouped else nibbles ^ 8, grown_of(config, tensors))


def _as_marlin(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(q=ZERO + _by(MARLIN, config, tensors))


def _one_order(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Codes of one group by the order for several."""
    return found if has_groups(config, tensors) else found.with_(q=ZERO + _by(fragments(True), config, tensors))


def _products(config: Config, tensors: Tensors) -> np.ndarray | None:
    grown = grown_of(config, tensors)
    return None if grown is None else (codes_of(config, tensors) - 8) * grown


def _not_rounded(found: Integer, config: Config, tensors: Tensors) -> Integer:
    products = _products(config, tensors)
    return found if products is None else found.with_(q=ZERO + np.clip(products, -128, 127))


def _not_cut(found: Integer, config: Config, tensors: Tensors) -> Integer:
    products = _products(config, tensors)
    return found if products is None else found.with_(q=ZERO + np.rint(products))


def _away(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Products in the middle of two integers are rounded away from 0."""
    products = _products(config, tensors)
    if products is None:
        return found
    whole = np.sign(products) * np.floor(np.abs(products) + 0.5)
    return found.with_(q=ZERO + np.clip(whole, -128, 127).astype(np.int64))


def _groups_as_stored(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if not has_groups(config, tensors):
        return found
    stored: Array = tensors["s_group"]
    inputs = found.q.shape[1]
    grown = stored.float64()[np.arange(inputs) // group_size(config, inputs)].T
    return found.with_(q=ZERO + integers(codes_of(config, tensors), grown))


def _outputs_as_stored(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(s=tensors["s_channel"].float64())


def _without_sign(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """A nibble of one group counts from 8, as those of several do."""
    if has_groups(config, tensors):
        return found
    return found.with_(q=ZERO + 16 * ((codes_of(config, tensors) ^ 8) - 8))


_EVERYWHERE = ("vectors", "synthetic", "modules", "digests")

STEPS = (
    Mutant(
        "QQ-01",
        Bug.INTERLEAVE,
        "tiles are taken apart in Marlin's order, in which a lane has two pairs of inputs that lie eight apart",
        _SOURCE,
        (*_EVERYWHERE, "layouts"),
        QQQ,
        decode=spoilt(_as_marlin),
    ),
    Mutant(
        "QQ-02",
        Bug.ROUNDING,
        "a code times the scale of its group is not rounded to an integer",
        _SOURCE,
        _EVERYWHERE,
        QQQ,
        decode=spoilt(_not_rounded),
    ),
    Mutant(
        "QQ-03",
        Bug.ROUNDING,
        "an integer beyond 8 bits is not cut off",
        _SOURCE,
        ("vectors", "synthetic", "arithmetic"),
        QQQ,
        decode=spoilt(_not_cut),
    ),
    Mutant(
        "QQ-04",
        Bug.INTERLEAVE,
        "tiles of one group are taken apart in the order of several",
        _SOURCE,
        ("vectors", "synthetic"),
        QQQ,
        decode=spoilt(_one_order),
    ),
    Mutant(
        "QQ-05",
        Bug.PACK_AXIS,
        "scales of outputs are taken in the order in which they are stored",
        _SOURCE,
        (*_EVERYWHERE, "layouts"),
        QQQ,
        decode=spoilt(_outputs_as_stored),
    ),
    Mutant(
        "QQ-05b",
        Bug.PACK_AXIS,
        "scales of groups are taken in the order in which they are stored",
        _SOURCE,
        _EVERYWHERE,
        QQQ,
        decode=spoilt(_groups_as_stored),
    ),
    Mutant(
        "QQ-06",
        Bug.SIGNEDNESS,
        "nibbles of one group are counted from 8, where they have a sign",
        _SOURCE,
        ("vectors", "synthetic"),
        QQQ,
        decode=spoilt(_without_sign),
    ),
    Mutant(
        "QQ-07",
        Bug.ROUNDING,
        "products in the middle of two integers are rounded away from 0, not to the even one",
        _SOURCE,
        ("arithmetic",),
        QQQ,
        decode=spoilt(_away),
    ),
)
