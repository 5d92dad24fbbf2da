"""Faults of readers of torchao's MX and NVFP4: tiles of scales, nibbles, scales of matrices, what bytes stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..bits.array import Array
from ..bits.floats import E4M3, E8M0, table
from ..bits.rounding import nearest
from ..formats.scaled import Scaled
from ..formats.torchao_mx.packing import ACTIVATIONS, FOURS, MXFP8, SCALES, WHOLE, is_swizzled, kind_of, parts, places
from .floats import changed_parts, computed
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .wrap import Decode, tolerant

_ROWS, _BYTES = 32, 16


def _numbers(config: Config, tensors: Tensors, bytes_: np.ndarray) -> np.ndarray:
    """What bytes of scales are worth, the scale of the matrix included; NaN as 0."""
    numbers = np.nan_to_num(E4M3[bytes_] if kind_of(config) == FOURS else E8M0[bytes_])
    whole = tensors[WHOLE].float64() if WHOLE in tensors else 1.0
    return nearest(numbers * whole, "float32").float64()


def _as_rows(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Bytes of tiles are read one after the other, as those that are not swizzled."""
    if not is_swizzled(config):
        return found
    flat = tensors[SCALES].bits.ravel()[: found.s.size]
    return found.with_(s=_numbers(config, tensors, flat.reshape(found.s.shape)))


def _tiles_down(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Tiles are taken to lie one below the other first."""
    if not is_swizzled(config):
        return found
    tiles = tensors[SCALES].bits.reshape(-1, _ROWS * _BYTES)
    down, across = (size // unit for size, unit in zip(tensors[SCALES].shape, (_ROWS, _BYTES), strict=True))
    moved = tiles.reshape(across, down, -1).swapaxes(0, 1).ravel()
    return found.with_(s=_numbers(config, tensors, moved[places(*found.s.shape)]))


def _lines_in_turn(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """A tile is taken for 128 lines of four, output after output."""
    if not is_swizzled(config):
        return found
    out, groups = found.s.shape
    o, g = np.arange(out)[:, None], np.arange(groups)[None, :]
    tile = o // 128 * -(-groups // 4) + g // 4
    flat = tensors[SCALES].bits.ravel()[tile * 512 + o % 128 * 4 + g % 4]
    return found.with_(s=_numbers(config, tensors, flat))


def _tiled_twice(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Scales in rows are swizzled once more, as if they were to be read so."""
    if is_swizzled(config):
        return found
    room = np.zeros((-(-found.s.shape[0] // 128) * 128, -(-found.s.shape[1] // 4) * 4))
    flat = np.zeros(room.size)
    flat[places(*found.s.shape)] = found.s
    return found.with_(s=flat.reshape(room.shape)[: found.s.shape[0], : found.s.shape[1]])


def _padding_counts(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """A NaN anywhere in the bytes of tiles makes all of the last output zero."""
    bytes_ = tensors[SCALES].bits
    nan = np.isin(bytes_, (0x7F, 0xFF)) if kind_of(config) == FOURS else bytes_ == 0xFF
    if not nan.any():
        return found
    scales = found.s.copy()
    scales[-1] = 0
    return found.with_(s=scales)


def _swapped(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """The high nibble of a byte first."""
    if kind_of(config) == MXFP8:
        return found
    return found.with_(q=found.q.reshape(len(found.q), -1, 2)[..., ::-1].reshape(found.q.shape))


def _without_whole(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=_numbers(config, {SCALES: tensors[SCALES]}, _bytes(found, config, tensors)))


def _whole_divides(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    if WHOLE not in tensors:
        return found
    return found.with_(s=nearest(E4M3[_bytes(found, config, tensors)] / tensors[WHOLE].float64(), "float32").float64())


def _bytes(found: Scaled, config: Config, tensors: Tensors) -> np.ndarray:
    stored = tensors[SCALES].bits
    return stored.ravel()[places(*found.s.shape)] if is_swizzled(config) else stored


def _whole_last(found: Scaled, config: Config, tensors: Tensors, dtype: str) -> Array:
    """Codes times scales of groups are rounded to the dtype of the weight, and times that of the matrix once more."""
    if WHOLE not in tensors:
        return found.dense(dtype)
    first = _without_whole(found, config, tensors).dense(dtype).float64()
    return nearest(nearest(first * tensors[WHOLE].float64(), "float32").float64(), dtype)


def _in_turn(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    ask(config, tensors, dtype)
    found = parts(config, tensors)
    with np.errstate(all="ignore"):
        return _whole_last(found, config, tensors, dtype or found.dtype)


def _with_activations(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    if ACTIVATIONS not in tensors:
        return found
    return found.with_(s=found.s * tensors[ACTIVATIONS].float64())


def _biased_by_128(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found if kind_of(config) == FOURS else found.with_(s=found.s / 2)


def _zero_byte(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found if kind_of(config) == FOURS else found.with_(s=np.where(found.s == 2.0**-127, 0.0, found.s))


def _last_byte(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    """E8M0 byte 255 taken for the next power of two below it."""
    if kind_of(config) == FOURS or SCALES not in tensors:
        return config, tensors
    stored = tensors[SCALES]
    below = np.where(stored.bits == 255, 254, stored.bits).astype(np.uint8)
    return config, {**tensors, SCALES: Array(stored.dtype, below)}


def _e5m2(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(values=np.nan_to_num(table(5, 2, 15))) if kind_of(config) == MXFP8 else found


def _unsigned_zero(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Code 8 is 0, as ModelOpt reads it."""
    return found.with_(values=np.where(found.values == 0, 0.0, found.values))


def _as_exponents(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Bytes of E4M3 taken for those of E8M0."""
    if kind_of(config) != FOURS:
        return found
    powers = np.nan_to_num(E8M0[_bytes(found, config, tensors)])
    whole = tensors[WHOLE].float64() if WHOLE in tensors else 1.0
    return found.with_(s=nearest(powers * whole, "float32").float64())


def _widened(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Groups of NVFP4 taken for those of MX: each second scale is not read."""
    if kind_of(config) != FOURS:
        return found
    return found.with_(s=np.repeat(found.s[:, ::2], 2, axis=1)[:, : found.s.shape[1]])


def _always_bfloat16(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return replace(found, dtype="bfloat16")


def _half_scales(found: Scaled, dtype: str) -> Array:
    """The product of both scales is rounded to bfloat16."""
    return found.with_(s=nearest(found.s, "bfloat16").float64()).dense(dtype)


ARITHMETIC, LAYOUTS, VECTORS, SYNTHETIC = "arithmetic", "layouts", "vectors", "synthetic"
_TREE = "https://github.com/pytorch/ao/blob/v0.18.0/torchao/prototype/mx_formats/"
_MX, _NVFP4, _UTILS = (_TREE + "mx_tensor.py",), (_TREE + "nvfp4_tensor.py",), (_TREE + "utils.py",)
# Its scales are cast to the dtype of the weight, in which torch then multiplies them by a number without axes.
_OLD = ("https://github.com/pytorch/ao/blob/v0.17.0/torchao/prototype/mx_formats/nvfp4_tensor.py",)
_MAX, _PADDING = github("modular/modular#6600"), github("vllm-project/vllm#38148")
_SWIZZLE = github("pytorch/ao#4477")
_OCP = ("https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf",)


def _mutant(
    id: str,
    bug: Bug,
    mechanism: str,
    links: tuple[str, ...],
    killed_by: tuple[str, ...],
    decode: Decode,
    bits: tuple[int, ...] = (4, 8),
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("torchao_mx",), bits, decode)


TORCHAO_MX: tuple[Mutant, ...] = (
    _mutant("TX-01", Bug.INTERLEAVE, "scales of torchao that are swizzled are read in rows", _SWIZZLE,
            (VECTORS, LAYOUTS, SYNTHETIC), changed_parts(_as_rows)),
    _mutant("TX-01b", Bug.PACK_AXIS, "tiles of swizzled scales are taken to lie one below the other first", _UTILS,
            (VECTORS, SYNTHETIC), changed_parts(_tiles_down)),
    _mutant("TX-01c", Bug.INTERLEAVE, "a tile of swizzled scales is taken for 128 lines of four", _UTILS,
            (VECTORS, LAYOUTS, SYNTHETIC), changed_parts(_lines_in_turn)),
    _mutant("TX-01d", Bug.INTERLEAVE, "scales in rows are swizzled all the same", _MAX,
            (VECTORS, LAYOUTS, SYNTHETIC), changed_parts(_tiled_twice)),
    _mutant("TX-01e", Bug.NAN_INF, "a NaN in the padding of tiles spoils an output", _PADDING,
            (VECTORS, "policies"), changed_parts(_padding_counts)),
    _mutant("TX-02", Bug.NIBBLE_ORDER, "the high nibble of a byte of torchao's floats of four bits comes first", _MX,
            (VECTORS, ARITHMETIC, LAYOUTS), changed_parts(_swapped), (4,)),
    _mutant("TX-03", Bug.SCALE_ENCODING, "torchao's scale of the matrix is left out", _NVFP4,
            (VECTORS, ARITHMETIC, SYNTHETIC), changed_parts(_without_whole), (4,)),
    _mutant("TX-03b", Bug.SCALE_ENCODING, "torchao's scale of the matrix divides, as that of compressed-tensors", _MAX,
            (VECTORS, ARITHMETIC, SYNTHETIC), changed_parts(_whole_divides), (4,)),
    _mutant("TX-03c", Bug.OP_ORDER_DTYPE, "weights are rounded before the scale of the matrix multiplies them", _NVFP4,
            (VECTORS, ARITHMETIC, SYNTHETIC), _in_turn, (4,)),
    _mutant("TX-03d", Bug.OP_ORDER_DTYPE, "the product of torchao's two scales is rounded to bfloat16", _OLD,
            (VECTORS, ARITHMETIC, SYNTHETIC), computed(_half_scales), (4,)),
    _mutant("TX-03e", Bug.SCALE_ENCODING, "the scale of activations multiplies the weight", _NVFP4,
            (VECTORS, "policies"), changed_parts(_with_activations), (4,)),
    _mutant("TX-04", Bug.SCALE_ENCODING, "the bias of the exponents of torchao's MX is taken for 128", _OCP,
            (VECTORS, ARITHMETIC, SYNTHETIC), changed_parts(_biased_by_128)),
    _mutant("TX-04b", Bug.SUBNORMAL, "byte 0 of a scale of torchao's MX is taken for zero", _OCP,
            (VECTORS, ARITHMETIC), changed_parts(_zero_byte)),
    _mutant("TX-04c", Bug.NAN_INF, "byte 255 of a scale of torchao's MX is taken for a power of two", _OCP,
            ("refusals",), tolerant(_last_byte)),
    _mutant("TX-05", Bug.SIGNEDNESS, "E4M3 of torchao's MX is read as E5M2", _MX, (VECTORS, ARITHMETIC),
            changed_parts(_e5m2), (8,)),
    _mutant("TX-05b", Bug.SIGNEDNESS, "a zero of torchao's floats loses its sign", _NVFP4, (VECTORS, ARITHMETIC),
            changed_parts(_unsigned_zero)),
    _mutant("TX-06", Bug.SCALE_ENCODING, "scales of torchao's NVFP4 are read as exponents", _NVFP4,
            (VECTORS, ARITHMETIC), changed_parts(_as_exponents), (4,)),
    _mutant("TX-06b", Bug.GROUP_INDEX, "groups of torchao's NVFP4 are taken for those of MX, twice as wide", _NVFP4,
            (VECTORS, LAYOUTS, SYNTHETIC), changed_parts(_widened), (4,)),
    _mutant("TX-07", Bug.OP_ORDER_DTYPE, "weights come in bfloat16, whatever the header says", _MX,
            (VECTORS, SYNTHETIC), changed_parts(_always_bfloat16)),
)  # fmt: skip
