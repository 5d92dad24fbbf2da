"""Moves of bit fields between packed words. Nothing here knows a format, a scale or a zero point.

Packed form everywhere: a little-endian bit stream along the last axis, in uint32 words, which is MLX's own layout for
``mx.dequantize`` and ``mx.quantized_matmul``. Where ``bits`` does not divide 8, fields straddle bytes and words, and
eight of them take ``bits`` whole bytes.
"""

from __future__ import annotations

from typing import Any, cast

import mlx.core as mx
import numpy as np

from .compiled import fused
from .fields import unpacked
from .host import in_memory, place, placed

WIDTHS = range(1, 9)
NIBBLES = 8  # in a word
_LANES = {1: mx.uint8, 2: mx.uint16, 4: mx.uint32, 8: mx.uint64}


def as_words(array: mx.array) -> mx.array:
    """The same bits as uint32; int32 is what checkpoints store because torch long had no unsigned words."""
    if array.dtype == mx.uint32:
        return array
    words = array.view(mx.uint32)
    if (memory := placed(array)) is not None:
        place(words, lambda: memory().view(np.uint32))
    return words


def rows_as_words(octets: mx.array) -> mx.array:
    """uint32 [rows, ceil(n / 4)] of uint8 [rows, n], whose last word ends in zeros."""
    short = -octets.shape[1] % 4
    return mx.contiguous(mx.pad(octets, [(0, 0), (0, short)]) if short else octets).view(mx.uint32)


def words_for(fields: int, bits: int) -> int:
    """How many 32-bit words a stream of so many fields takes, the last one possibly padded."""
    return -(-fields * bits // 32)


def fields_in(words: int, bits: int) -> int:
    """How many whole fields so many words hold."""
    return words * 32 // bits


def unpack(words: mx.array, bits: int, count: int | None = None) -> mx.array:
    """Fields of ``words`` [..., n] as uint8 [..., count], lowest field first.

    ``count`` None takes all there are. Raises ValueError where the words then hold no whole number of fields, or fewer
    than ``count``, or ``bits`` is not 1 to 8.
    """
    if bits not in WIDTHS:
        raise ValueError(f"fields of {bits} bits; expected 1 to 8")
    length = words.shape[-1]
    if count is None and length * 32 % bits:
        raise ValueError(f"{length} words hold no whole number of {bits}-bit fields; say how many there are")
    if count is None:
        count = fields_in(length, bits)
    elif count > fields_in(length, bits):
        raise ValueError(f"{length} words hold {fields_in(length, bits)} fields of {bits} bits, not {count}")
    return cast(mx.array, fused(_fields, bits, count)(words))


def unpack_few(words: mx.array, bits: int, count: int) -> Any:
    """As :func:`unpack` of [rows, n], for zero points: on a CPU at once and NumPy's, because MLX's thread takes longer
    to wake than they take. :func:`as_array` gives MLX's."""
    if mx.default_device() == mx.gpu:
        return unpack(words, bits, count)
    mx.eval(words)
    return unpacked(in_memory(words), bits, count)


def as_array(fields: Any) -> mx.array:
    """What became of :func:`unpack_few`'s, MLX's own and in order."""
    return mx.array(fields) if isinstance(fields, np.ndarray) else mx.contiguous(fields)


def pack(codes: mx.array, bits: int) -> mx.array:
    """Inverse of :func:`unpack`: uint8 codes [..., m] to uint32 words; ValueError unless they fill whole words."""
    if codes.shape[-1] * bits % 32:
        raise ValueError(f"{codes.shape[-1]} fields of {bits} bits do not fill whole words")
    octets = _into_octets(codes, bits) if 8 % bits == 0 else _over_octets(codes, bits)
    return mx.contiguous(octets).view(mx.uint32)


def transpose_nibbles(words: mx.array) -> mx.array:
    """Transpose each 8 x 8 block of nibbles: [rows, columns] words to [rows // 8, 8, columns] words.

    Nibble ``k`` of ``result[r, i, c]`` is nibble ``i`` of ``words[8 * r + k, c]``; ``rows`` must be a multiple of 8.
    Three exchanges of half-blocks (16, 8, then 4 bits), as one transposes a bit matrix.
    """
    columns = words.shape[1]
    block = words.reshape(-1, 8, columns)
    for distance, mask in ((4, 0x0000FFFF), (2, 0x00FF00FF), (1, 0x0F0F0F0F)):
        shift = 4 * distance
        pairs = block.reshape(-1, 8 // (2 * distance), 2, distance, columns)
        upper, lower = pairs[:, :, 0], pairs[:, :, 1]
        keep = mx.array(mask, dtype=mx.uint32)
        swapped = [(upper & keep) | ((lower & keep) << shift), ((upper >> shift) & keep) | (lower & ~keep)]
        block = mx.stack(swapped, axis=2).reshape(-1, 8, columns)
    return block


def _fields(words: mx.array, bits: int, count: int) -> mx.array:
    # Bytes rather than words: a quarter of the memory traffic, and the host's vector units take 8-bit lanes.
    octets = words.view(mx.uint8)
    if bits == 8:
        return octets[..., :count]
    fields = _within_octets(octets, bits) if 8 % bits == 0 else _across_octets(octets, bits)
    return fields.reshape(*words.shape[:-1], -1)[..., :count]


def _within_octets(octets: mx.array, bits: int) -> mx.array:
    """The fields of each byte in bytes of their own, by moving whole groups: a byte becomes a word of as many bytes."""
    lanes = 8 // bits
    dtype = _LANES[lanes]
    wide = spread = octets.astype(dtype)
    for lane in range(1, lanes):
        spread = spread | (wide << mx.array(lane * (8 - bits), dtype=dtype))
    mask = sum(((1 << bits) - 1) << 8 * lane for lane in range(lanes))
    return (spread & mx.array(mask, dtype=dtype)).view(mx.uint8)


def _into_octets(codes: mx.array, bits: int) -> mx.array:
    lanes = 8 // bits
    dtype = _LANES[lanes]
    wide = joined = mx.contiguous(codes).view(dtype)
    for lane in range(1, lanes):
        joined = joined | (wide >> mx.array(lane * (8 - bits), dtype=dtype))
    return joined.astype(mx.uint8)


def _across_octets(octets: mx.array, bits: int) -> mx.array:
    """Eight fields in each block of ``bits`` bytes; what the last block lacks is zero and is cut off by the caller."""
    short = -octets.shape[-1] % bits
    if short:
        octets = mx.pad(octets, [(0, 0)] * (octets.ndim - 1) + [(0, short)])
    blocks = octets.reshape(*octets.shape[:-1], -1, bits)
    mask, fields = (1 << bits) - 1, []
    for field in range(8):
        octet, shift = divmod(field * bits, 8)
        value = blocks[..., octet] >> shift
        if shift + bits > 8:
            value = value | (blocks[..., octet + 1] << (8 - shift))
        fields.append(value & mask)
    return mx.stack(fields, axis=-1)


def _over_octets(codes: mx.array, bits: int) -> mx.array:
    fields = codes.reshape(*codes.shape[:-1], -1, 8)
    octets = []
    for octet in range(bits):
        value = None
        for field in range(8):
            shift = field * bits - octet * 8
            if -bits < shift < 8:
                part = fields[..., field] << shift if shift >= 0 else fields[..., field] >> -shift
                value = part if value is None else value | part
        assert value is not None
        octets.append(value)
    return mx.stack(octets, axis=-1).reshape(*codes.shape[:-1], -1)
