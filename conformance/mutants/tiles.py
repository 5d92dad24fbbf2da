"""Faults in reading packings that kernels or writers arranged: planes of bits, and Marlin's tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..bits.fields import fields as stream
from ..formats.gptq_marlin.packing import PAIRED, TURNED, names_of
from ..formats.gptq_planar.packing import BLOCKS, PLANES, WIDTHS, fields, width
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors
from .wrap import Decode, spoilt, tolerant, without

PLANAR, MARLIN = ("gptq_planar",), ("gptq_marlin",)
_SOURCE = ("https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/utils/planar_packing.py",)


def _both(read: Callable[[np.ndarray, int], np.ndarray], *, codes: bool = True, zeros: bool = True) -> Decode:
    """Codes and zero points of rows of words, as ``read`` has them."""

    def change(found: Integer, config: Config, tensors: Tensors) -> Integer:
        bits = width(config)
        if codes:
            rows = np.ascontiguousarray(tensors["qweight"].bits.T)
            found = found.with_(q=read(rows, bits)[:, : found.q.shape[1]])
        if zeros:
            found = found.with_(z=read(np.ascontiguousarray(tensors["qzeros"].bits), bits)[:, : found.z.shape[1]])
        return found

    return spoilt(change)


def _as_stream(rows: np.ndarray, bits: int) -> np.ndarray:
    return stream(rows, 1, bits).astype(np.int64)


def _high_first(rows: np.ndarray, bits: int) -> np.ndarray:
    """The words of the highest plane are looked for before those of the lowest."""
    blocks, planes, first = rows.reshape(len(rows), -1, bits), [], 0
    for plane in reversed(PLANES[bits]):
        planes.append(blocks[:, :, first : first + plane])
        first += plane
    return fields(np.ascontiguousarray(np.concatenate(planes[::-1], axis=2)).reshape(rows.shape), bits)


def _over_the_row(rows: np.ndarray, bits: int) -> np.ndarray:
    """One plane of the whole row before the next one, where each block of 32 has all of its own."""
    blocks, planes, first = rows.shape[1] // bits, [], 0
    for plane in PLANES[bits]:
        planes.append(rows[:, first * blocks : (first + plane) * blocks].reshape(len(rows), blocks, plane))
        first += plane
    return fields(np.ascontiguousarray(np.concatenate(planes, axis=2)).reshape(rows.shape), bits)


def _lowest_alone(rows: np.ndarray, bits: int) -> np.ndarray:
    return fields(rows, bits) & ((1 << PLANES[bits][0]) - 1)


def _one_more(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(z=(found.z + 1) % (1 << found.bits))


# Where AutoGPTQ takes the halves of pairs apart: nibble m of a word is number INTERLEAVE[m] of its eight.
_INTERLEAVE = np.array([0, 2, 4, 6, 1, 3, 5, 7])


def _nibbles_in_turn(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Tiles are put in order as if the nibbles of each word were; which input and output they are comes out mixed."""
    n, k = np.ogrid[:16, :16]
    # The eight codes of a lane: output above or below 8, input above or below 8, input even or odd.
    number = 4 * (n // 8) + 2 * (k // 8) + k % 2
    taken = _INTERLEAVE[number]
    out, inputs = found.q.shape
    tiles = found.q.reshape(out // 16, 16, inputs // 16, 16)
    spoilt_tiles = tiles[:, taken // 4 * 8 + n % 8, :, taken // 2 % 2 * 8 + k % 8 // 2 * 2 + taken % 2]
    return found.with_(q=np.ascontiguousarray(spoilt_tiles.transpose(2, 0, 3, 1)).reshape(out, inputs))


def _tiles_turned(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Inputs and outputs of each tile of 16 by 16 are exchanged."""
    out, inputs = found.q.shape
    tiles = found.q.reshape(out // 16, 16, inputs // 16, 16).transpose(0, 3, 2, 1)
    return found.with_(q=np.ascontiguousarray(tiles).reshape(out, inputs))


def _scales_as_stored(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(s=tensors[names_of(config)[1]].float64())


def _other_order(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Scales of several groups by the order for one, and the other way round."""
    stored = tensors[names_of(config)[1]].float64()
    order = np.argsort(TURNED if len(stored) == 1 else PAIRED)
    return found.with_(s=stored.reshape(-1, len(order))[:, order].reshape(stored.shape))


def _unsigned(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(z=np.zeros_like(found.z))


_AUTOGPTQ = "https://github.com/AutoGPTQ/AutoGPTQ/blob/v0.7.1/auto_gptq/nn_modules/qlinear/qlinear_marlin.py"
_AUTOAWQ = "https://github.com/casper-hansen/AutoAWQ/blob/v0.2.9/awq/modules/linear/marlin.py"
_TILE_SOURCES = (_AUTOGPTQ, _AUTOAWQ)

TILES = (
    Mutant(
        "PL-01",
        Bug.CROSS_WORD,
        "planes are read as one stream of fields, which is how AutoRound packs the same widths",
        _SOURCE,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        PLANAR,
        bits=BLOCKS,
        decode=_both(_as_stream),
    ),
    Mutant(
        "PL-02",
        Bug.PACK_AXIS,
        "the words of the highest plane are looked for before those of the lowest",
        _SOURCE,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        PLANAR,
        bits=BLOCKS,
        decode=_both(_high_first),
    ),
    Mutant(
        "PL-03",
        Bug.CROSS_WORD,
        "one plane of a whole row is looked for before the next, where each block of 32 codes has all of its own",
        _SOURCE,
        ("vectors", "synthetic", "modules", "digests"),
        PLANAR,
        bits=BLOCKS,
        decode=_both(_over_the_row),
    ),
    Mutant(
        "PL-04",
        Bug.ZERO_OFFSET,
        "zero points are taken for version 1's, and 1 is added",
        ("https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/utils/model.py",),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules", "digests"),
        PLANAR,
        bits=WIDTHS,
        decode=spoilt(_one_more),
    ),
    Mutant(
        "PL-05",
        Bug.ZERO_PACK_AXIS,
        "codes are read from their planes, and zero points as one stream",
        _SOURCE,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        PLANAR,
        bits=BLOCKS,
        decode=_both(_as_stream, codes=False),
    ),
    Mutant(
        "PL-06",
        Bug.NIBBLE_ORDER,
        "only the lowest plane is read",
        _SOURCE,
        ("vectors", "arithmetic", "layouts", "synthetic", "modules", "digests"),
        PLANAR,
        bits=BLOCKS,
        decode=_both(_lowest_alone),
    ),
    Mutant(
        "ML-01",
        Bug.INTERLEAVE,
        "Marlin's tiles are put in order as if the nibbles of each word were in theirs",
        _TILE_SOURCES,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        MARLIN,
        decode=spoilt(_nibbles_in_turn),
    ),
    Mutant(
        "ML-02",
        Bug.SCALE_ENCODING,
        "the scales of Marlin's tiles are taken in the order in which they are stored",
        _TILE_SOURCES,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        MARLIN,
        decode=spoilt(_scales_as_stored),
    ),
    Mutant(
        "ML-03",
        Bug.SCALE_ENCODING,
        "scales of several groups are put in order as those of one group are, and the other way round",
        _TILE_SOURCES,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        MARLIN,
        decode=spoilt(_other_order),
    ),
    Mutant(
        "ML-04",
        Bug.SIGNEDNESS,
        "codes of Marlin's tiles are not counted from 8",
        _TILE_SOURCES,
        ("vectors", "arithmetic", "layouts", "synthetic", "modules", "digests"),
        MARLIN,
        decode=spoilt(_unsigned),
    ),
    Mutant(
        "ML-05",
        Bug.PACK_AXIS,
        "inputs and outputs of each tile are exchanged",
        _TILE_SOURCES,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        MARLIN,
        decode=spoilt(_tiles_turned),
    ),
    Mutant(
        "ML-06",
        Bug.MISLABELLED,
        "Marlin's tiles are decoded around 8 though the config promises zero points or a map of groups",
        ("https://github.com/AutoGPTQ/AutoGPTQ/blob/v0.7.1/auto_gptq/utils/marlin_utils.py",),
        ("refusals",),
        MARLIN,
        decode=tolerant(lambda c, t: (without(c, "zero_point", "sym", "desc_act"), t)),
    ),
)
