"""Moves of bit fields between packed words. Nothing here knows a format, a scale or a zero point.

Packed form everywhere: a little-endian bit stream along the last axis, in uint32 words, which is MLX's own layout for
``mx.dequantize`` and ``mx.quantized_matmul``. ``bits`` must divide 8, so that no field straddles a byte.
"""

from __future__ import annotations

import mlx.core as mx


def as_words(array: mx.array) -> mx.array:
    """The same bits as uint32; int32 is what checkpoints store because torch long had no unsigned words."""
    return array if array.dtype == mx.uint32 else array.view(mx.uint32)


def unpack(words: mx.array, bits: int) -> mx.array:
    """Fields of ``words`` [..., n] as uint8 [..., n * 32 // bits], lowest field first."""
    # Bytes rather than words: a quarter of the memory traffic, and the host's vector units take 8-bit lanes.
    octets = words.view(mx.uint8)
    if bits == 8:
        return octets
    mask = (1 << bits) - 1
    fields = [(octets >> shift) & mask for shift in range(0, 8, bits)]
    return mx.stack(fields, axis=-1).reshape(*words.shape[:-1], -1)


def pack(codes: mx.array, bits: int) -> mx.array:
    """Inverse of :func:`unpack`: uint8 codes [..., m] to uint32 words; m * bits must be a multiple of 32."""
    per_octet = 8 // bits
    fields = codes.reshape(*codes.shape[:-1], -1, per_octet)
    octets = fields[..., 0]
    for index in range(1, per_octet):
        octets = octets | (fields[..., index] << (index * bits))
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
