"""CUDA kernels that decode and move codes in one pass over the bytes, for :mod:`.device` to choose.

A block of 256 threads takes 32 words of ``TILE`` outputs: it reads them along whichever axis a file has them, turns
them in shared memory, and writes rows. Scales and zero points of the tile lie in shared memory as well, those of all
groups where a map scatters them.
"""

from __future__ import annotations

import functools
from typing import Any

import mlx.core as mx

THREADS, WORDS = 256, 32
# Of the 48 KiB that any block may have; a tile of 64 outputs takes 8 of them.
_SHARED = 38 * 1024
# How a file holds the words: MLX's rows; columns; eight outputs a word; columns whose channels are to be reordered.
ROWS, COLUMNS, NIBBLES, REORDERED = range(4)

_LOAD = r"""
    const int count = dims[0], outputs = dims[1];
    const int first_word = blockIdx.x * 32, first_output = blockIdx.y * TILE, thread = threadIdx.x;
    __shared__ unsigned tile[TILE][33];
    constexpr int FIELDS = 32 / BITS;
    constexpr unsigned MASK = (1u << BITS) - 1;
    if constexpr (LAYOUT == 2) {
        for (int item = thread; item < 32 * (TILE / 8); item += 256) {
            const int column = item % (TILE / 8), word = first_word + item / (TILE / 8);
            const int place = first_output / 8 + column;
            unsigned turned[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            if (word < count && place < outputs / 8) {
                for (int channel = 0; channel < 8; ++channel) {
                    const unsigned eight = stored[(size_t)(word * 8 + channel) * (outputs / 8) + place];
                    for (int nibble = 0; nibble < 8; ++nibble)
                        turned[nibble] |= (eight >> 4 * nibble & 15u) << 4 * channel;
                }
            }
            for (int nibble = 0; nibble < 8; ++nibble)
                tile[column * 8 + extra[nibble]][item / (TILE / 8)] = turned[nibble];
        }
    } else if (LAYOUT == 3 && outputs % 4 == 0 && reinterpret_cast<size_t>(stored) % 16 == 0) {
        // Each channel is in a word of its own: four outputs are read at once.
        for (int item = thread; item < 32 * (TILE / 4); item += 256) {
            const int word = item / (TILE / 4), output = item % (TILE / 4) * 4;
            const int w = first_word + word, o = first_output + output;
            uint4 four = {0, 0, 0, 0};
            if (w < count && o < outputs) {
                #pragma unroll
                for (int field = 0; field < FIELDS; ++field) {
                    const int channel = extra[w * FIELDS + field], shift = BITS * (channel % FIELDS);
                    const size_t row = (size_t)(channel / FIELDS) * outputs;
                    const uint4 from = *reinterpret_cast<const uint4*>(stored + row + o);
                    four.x |= (from.x >> shift & MASK) << BITS * field;
                    four.y |= (from.y >> shift & MASK) << BITS * field;
                    four.z |= (from.z >> shift & MASK) << BITS * field;
                    four.w |= (from.w >> shift & MASK) << BITS * field;
                }
            }
            tile[output][word] = four.x;
            tile[output + 1][word] = four.y;
            tile[output + 2][word] = four.z;
            tile[output + 3][word] = four.w;
        }
    } else {
        for (int item = thread; item < 32 * TILE; item += 256) {
            const int word = LAYOUT == 0 ? item % 32 : item / TILE, output = LAYOUT == 0 ? item / 32 : item % TILE;
            const int w = first_word + word, o = first_output + output;
            unsigned value = 0;
            if (w < count && o < outputs) {
                if constexpr (LAYOUT == 0) value = stored[(size_t)o * count + w];
                else if constexpr (LAYOUT == 1) value = stored[(size_t)w * outputs + o];
                else for (int field = 0; field < FIELDS; ++field) {
                    const int channel = extra[w * FIELDS + field];
                    const unsigned from = stored[(size_t)(channel / FIELDS) * outputs + o];
                    value |= (from >> BITS * (channel % FIELDS) & MASK) << BITS * field;
                }
            }
            tile[output][word] = value;
        }
    }
"""

_MOVE = (
    _LOAD
    + r"""
    __syncthreads();
    for (int item = thread; item < 32 * TILE; item += 256) {
        const int word = first_word + item % 32, output = first_output + item / 32;
        if (word < count && output < outputs) moved[(size_t)output * count + word] = tile[item / 32][item % 32];
    }
"""
)

_DENSE = (
    _LOAD
    + r"""
    const int groups = dims[2], size = dims[3], held = dims[4];
    constexpr int ROW = TILE + 1;  // so that groups of one output lie in different banks
    extern __shared__ char memory[];
    float* scale = reinterpret_cast<float*>(memory);
    unsigned char* zero = reinterpret_cast<unsigned char*>(scale + held * ROW);
    const int first_group = MAPPED ? 0 : first_word * FIELDS / size;
    for (int item = thread; item < held * TILE; item += 256) {
        const int group = first_group + item / TILE, output = first_output + item % TILE;
        const bool there = group < groups && output < outputs;
        const int place = item / TILE * ROW + item % TILE;
        scale[place] = there ? static_cast<float>(scales[(size_t)group * outputs + output]) : 0.0f;
        zero[place] = there ? zeros[(size_t)group * outputs + output] : 0;
    }
    __syncthreads();
    // A thread keeps its word's place in the row, and so its groups.
    const int word = first_word + thread % 32;
    if (word >= count) return;
    int row[FIELDS];
    #pragma unroll
    for (int field = 0; field < FIELDS; ++field) {
        const int channel = word * FIELDS + field;
        if constexpr (MAPPED) row[field] = index[channel] * ROW;
        else if (WHOLE && field) row[field] = row[0];
        else row[field] = (channel / size - first_group) * ROW;
    }
    for (int output = thread / 32; output < TILE && first_output + output < outputs; output += 8) {
        const unsigned codes = tile[output][thread % 32];
        alignas(16) U values[FIELDS];
        #pragma unroll
        for (int field = 0; field < FIELDS; ++field) {
            const int place = row[field] + output;
            const int difference = static_cast<int>(codes >> BITS * field & MASK) - zero[place];
            values[field] = static_cast<U>(scale[place] * static_cast<float>(difference));
        }
        U* to = dense + ((size_t)(first_output + output) * count + word) * FIELDS;
        if constexpr (FIELDS * sizeof(U) % 16 == 0) {
            #pragma unroll
            for (int part = 0; part < FIELDS * sizeof(U) / 16; ++part)
                reinterpret_cast<uint4*>(to)[part] = reinterpret_cast<const uint4*>(values)[part];
        } else {
            *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(values);
        }
    }
"""
)


@functools.cache
def _kernel(kind: str, shared: int) -> Any:
    if kind == "move":
        names, result, source = ["stored", "extra", "dims"], "moved", _MOVE
    else:
        names, result, source = ["stored", "extra", "scales", "zeros", "index", "dims"], "dense", _DENSE
    return mx.fast.cuda_kernel(
        name=f"mlx_quant_{kind}", input_names=names, output_names=[result], source=source, shared_memory=shared
    )


@functools.lru_cache(maxsize=1024)
def numbers(*values: int) -> mx.array:
    """int32 that lies on the device: new numbers of the host would be moved there page by page, for each call."""
    found = mx.array(values, dtype=mx.int32)
    mx.eval(found)
    return found


def _grid(count: int, outputs: int, tile: int) -> tuple[int, int, int]:
    return -(-count // WORDS) * THREADS, -(-outputs // tile), 1


def moved(stored: mx.array, layout: int, extra: mx.array, count: int, outputs: int, bits: int) -> mx.array:
    """Words uint32 [outputs, count] of ``stored``; ``extra`` is the order of nibbles, or of channels, as int32."""
    (found,) = _kernel("move", 0)(
        inputs=[stored, extra, numbers(count, outputs)],
        template=[("BITS", bits), ("LAYOUT", layout), ("TILE", 64)],
        grid=_grid(count, outputs, 64),
        threadgroup=(THREADS, 1, 1),
        output_shapes=[(outputs, count)],
        output_dtypes=[mx.uint32],
    )
    return found


def dense(
    stored: mx.array,
    layout: int,
    extra: mx.array,
    scales: mx.array,
    zeros: mx.array,
    group_index: mx.array | None,
    group_size: int,
    bits: int,
    count: int,
    dtype: mx.Dtype,
) -> mx.array | None:
    """``W`` [outputs, in] as ``dtype``; None where its parameters do not fit into a block's shared memory."""
    groups, outputs = scales.shape
    tile = 64
    held = groups if group_index is not None else min(groups, WORDS * 32 // bits // group_size + 2)
    if held * (tile + 1) * 5 > _SHARED:
        tile = 32
    shared = -(-held * (tile + 1) * 5 // 16) * 16
    if shared + 33 * 4 * tile > 48 * 1024:
        return None
    index = numbers(0) if group_index is None else group_index
    (found,) = _kernel("dense", shared)(
        inputs=[stored, extra, scales, zeros, index, numbers(count, outputs, groups, group_size, held)],
        template=[
            ("U", dtype),
            ("BITS", bits),
            ("LAYOUT", layout),
            ("TILE", tile),
            ("MAPPED", group_index is not None),
            ("WHOLE", group_size % (32 // bits) == 0),
        ],
        grid=_grid(count, outputs, tile),
        threadgroup=(THREADS, 1, 1),
        output_shapes=[(outputs, count * 32 // bits)],
        output_dtypes=[dtype],
    )
    return found
