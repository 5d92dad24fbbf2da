"""CUDA kernels that decode and move codes in one pass over the bytes, for :mod:`.device` to choose.

A block of 256 threads takes 32 words of ``TILE`` outputs at a time: it reads them along whichever axis a file has them,
turns them in shared memory, and writes rows, while it waits for the words that are next. Scales and zero points lie in
shared memory as well, those of all groups where a map scatters them.

What the kernels meet that must be looked at they say in ``told``, two numbers that a host made zero: the first is one
where scales are not finite, groups are none or differ in size, or parameters are beyond their dtype; the second where a
map reorders channels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import mlx.core as mx

WORDS = 32
# A block has 256 threads, or, where few fit beside their shared memory, twice as many.
_THREADS, _MANY = 256, 512
# Of shared memory: what leaves room for eight blocks; what any block may have beside a tile; what it may have at most,
# of which two fit into a multiprocessor, in steps.
_SMALL, _SHARED, _LARGEST, _STEP = 20 << 10, 38 << 10, 112 << 10, 16 << 10
# How a file holds the words: MLX's rows; columns; eight outputs a word.
ROWS, COLUMNS, NIBBLES = range(3)
# How zero points lie: a byte each; fields of words; fields in the order that nibbles of codes have.
BYTES, FIELDS, ORDERED = range(3)

# `told` is an input to MLX, so that nobody must fill it before each run; it is written where something is wrong.
_COMMON = r"""
    constexpr int FIELDS = 32 / BITS;
    constexpr unsigned MASK = (1u << BITS) - 1;
    const int thread = threadIdx.x;
    auto tell = [&](int what) { const_cast<unsigned*>(told)[what] = 1; };
    auto finite = [](float value) { return (__float_as_uint(value) & 0x7F800000u) != 0x7F800000u; };
    auto zero_of = [&](int group, int output) -> unsigned {
        if constexpr (ZEROS == 0) return zeros[(size_t)group * outputs + output];
        else {
            const size_t columns = (outputs + FIELDS - 1) / FIELDS;
            const int field = output % FIELDS, place = ZEROS == 2 ? order[8 + field] : field;
            return (zeros[group * columns + output / FIELDS] >> BITS * place) + ADDED & MASK;
        }
    };
"""

# `fetch` reads a thread's words of a tile, `turn` puts them where their outputs and places are.
_TILES = r"""
    constexpr int EACH = TILE / 8;
    __shared__ unsigned tile[TILE][33];
    unsigned raw[8];
    auto fetch = [&](int first_word) {
        if constexpr (LAYOUT == 2) {
            const int word = first_word + thread / EACH, place = first_output / 8 + thread % EACH;
            const bool there = thread < 32 * EACH && word < count && place < outputs / 8;
            #pragma unroll
            for (int channel = 0; channel < 8; ++channel)
                raw[channel] = there ? stored[(size_t)(word * 8 + channel) * (outputs / 8) + place] : 0;
        } else {
            // No matrix has 2^32 words, and narrow numbers leave room for more blocks.
            const int w = first_word + (LAYOUT == 0 ? thread % 32 : thread / TILE);
            const int o = first_output + (LAYOUT == 0 ? thread / 32 : thread % TILE);
            const unsigned step = LAYOUT == 0 ? 8u * count : 256u / TILE * outputs;
            unsigned from = LAYOUT == 0 ? (unsigned)o * count + w : (unsigned)w * outputs + o;
            #pragma unroll
            for (int each = 0; each < EACH; ++each, from += step) {
                const bool there = LAYOUT == 0 ? w < count && o + 8 * each < outputs
                                               : w + 256 / TILE * each < count && o < outputs;
                raw[each] = there ? stored[from] : 0;
            }
        }
    };
    auto turn = [&]() {
        if constexpr (LAYOUT == 2) {
            if (thread >= 32 * EACH) return;
            // An 8 x 8 block of nibbles is transposed: halves, quarters and eighths of pairs of words change places.
            #pragma unroll
            for (int distance = 4; distance; distance /= 2) {
                const unsigned mask = distance == 4 ? 0x0000FFFFu : distance == 2 ? 0x00FF00FFu : 0x0F0F0F0Fu;
                #pragma unroll
                for (int each = 0; each < 8; ++each) {
                    if (each & distance) continue;
                    const unsigned changed = (raw[each] >> 4 * distance ^ raw[each + distance]) & mask;
                    raw[each + distance] ^= changed;
                    raw[each] ^= changed << 4 * distance;
                }
            }
            #pragma unroll
            for (int nibble = 0; nibble < 8; ++nibble)
                tile[thread % EACH * 8 + order[nibble]][thread / EACH] = raw[nibble];
        } else {
            #pragma unroll
            for (int each = 0; each < EACH; ++each) {
                const int item = thread + 256 * each;
                if constexpr (LAYOUT == 0) tile[item / 32][item % 32] = raw[each];
                else tile[item % TILE][item / TILE] = raw[each];
            }
        }
    };
"""

_DENSE = (
    r"""
    const int count = dims[0], outputs = dims[1], groups = dims[2], size = dims[3], held = dims[4], tiles = dims[5];
    const int first_output = blockIdx.y * TILE, begin = blockIdx.x * tiles, end = min(begin + tiles, (count + 31) / 32);
"""
    + _COMMON
    + _TILES
    + r"""
    constexpr int ROW = TILE + 1;  // so that groups of one output lie in different banks
    constexpr bool HALF = sizeof(S) == 2;
    extern __shared__ char memory[];
    // Of each group and output the scale and, above it or after all of them, the zero point.
    unsigned* pairs = reinterpret_cast<unsigned*>(memory);
    const int first_group = MAPPED ? 0 : begin * 32 * FIELDS / size;
    auto hold = [&](int place, S scale, unsigned zero) {
        if (!finite(static_cast<float>(scale))) tell(0);
        if constexpr (HALF) {
            unsigned short bits;
            memcpy(&bits, &scale, 2);
            pairs[place] = bits | zero << 16;
        } else {
            pairs[place] = __float_as_uint(static_cast<float>(scale));
            pairs[held * ROW + place] = zero;
        }
    };
    fetch(begin * 32);
    if (HALF && ZEROS && BITS == 4 && outputs % 8 == 0 && reinterpret_cast<size_t>(scales) % 16 == 0) {
        for (int item = thread; item < held * EACH; item += 256) {
            const int group = first_group + item / EACH, output = first_output + item % EACH * 8;
            if (group >= groups || output >= outputs) continue;
            alignas(16) S eight[8];
            const S* from = scales + (size_t)group * outputs + output;
            *reinterpret_cast<uint4*>(eight) = *reinterpret_cast<const uint4*>(from);
            const unsigned fields = zeros[((size_t)group * outputs + output) / 8];
            #pragma unroll
            for (int each = 0; each < 8; ++each) {
                const int place = ZEROS == 2 ? order[8 + each] : each;
                hold(item / EACH * ROW + item % EACH * 8 + each, eight[each], (fields >> 4 * place) + ADDED & MASK);
            }
        }
    } else {
        for (int item = thread; item < held * TILE; item += 256) {
            const int group = first_group + item / TILE, output = first_output + item % TILE;
            if (group < groups && output < outputs)
                hold(item / TILE * ROW + item % TILE, scales[(size_t)group * outputs + output], zero_of(group, output));
        }
    }
    for (int t = begin; t < end; ++t) {
        // A thread keeps its word's place in the row, and so its groups.
        const int word = t * 32 + thread % 32;
        int row[FIELDS];
        auto find = [&]() {
            #pragma unroll
            for (int field = 0; field < FIELDS; ++field) {
                const int channel = word * FIELDS + field;
                if constexpr (MAPPED) {
                    const unsigned group = word < count ? index[channel] : 0;
                    if (group >= groups) tell(0);
                    row[field] = min(group, groups - 1) * ROW;
                } else if (WHOLE && field) row[field] = row[0];
                else row[field] = (channel / size - first_group) * ROW;
            }
        };
        // A map is on its way while the words are turned.
        if (MAPPED) find();
        turn();
        __syncthreads();
        if (t + 1 < end) fetch((t + 1) * 32);
        if (word < count) {
            if (!MAPPED) find();
            #pragma unroll 1  // more blocks are worth more than more loads of one
            for (int output = thread / 32; output < TILE; output += 8) {
                if (first_output + output >= outputs) break;
                const unsigned codes = tile[output][thread % 32];
                alignas(16) U values[FIELDS];
                #pragma unroll
                for (int field = 0; field < FIELDS; ++field) {
                    const unsigned pair = pairs[row[field] + output];
                    float scale = __uint_as_float(pair);
                    unsigned zero = pair >> 16;
                    if constexpr (HALF) {
                        const unsigned short bits = pair;
                        S half;
                        memcpy(&half, &bits, 2);
                        scale = static_cast<float>(half);
                    } else zero = pairs[held * ROW + row[field] + output];
                    // Both are 2^23 and a small whole number: their difference is exact and needs no conversion.
                    const float code = __uint_as_float(0x4B000000u | codes >> BITS * field & MASK);
                    values[field] = static_cast<U>(scale * (code - __uint_as_float(0x4B000000u | zero)));
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
        }
        __syncthreads();
    }
"""
)

# Scales and biases of 32 outputs, 32 groups at a time, turned in memory for 2 * 32 * 33 numbers.
_AFFINE = r"""
    auto parameters = [&](int first_output, float* memory) {
        const int columns = groups * repeat;
        for (int first = 0; first < groups; first += 32) {
            for (int item = thread; item < 32 * 32; item += THREADS) {
                const int group = first + item / 32, output = first_output + item % 32;
                if (group < groups && output < outputs) {
                    const float scale = static_cast<float>(scales[(size_t)group * outputs + output]);
                    const float zero = static_cast<float>(zero_of(group, output));
                    const bool beyond = !finite(static_cast<float>(static_cast<U>(scale)))
                        || !finite(static_cast<float>(static_cast<U>(zero * scale)));
                    if (beyond) tell(0);
                    memory[item % 32 * 33 + item / 32] = scale;
                    memory[(32 + item % 32) * 33 + item / 32] = zero;
                }
            }
            __syncthreads();
            const int many = min(32, groups - first) * repeat;
            for (int item = thread; item < many * 32; item += THREADS) {
                const int column = item % many, output = item / many;
                if (first_output + output < outputs) {
                    const float scale = memory[output * 33 + column / repeat];
                    const float zero = memory[(32 + output) * 33 + column / repeat];
                    const size_t to = (size_t)(first_output + output) * columns + first * repeat + column;
                    turned_scales[to] = static_cast<U>(scale);
                    biases[to] = static_cast<U>(-(zero * scale));
                }
            }
            __syncthreads();
        }
    };
"""

_MOVE = (
    r"""
    const int count = dims[0], outputs = dims[1], groups = dims[2], repeat = dims[3], tiles = dims[4];
    const int first_output = blockIdx.y * TILE, begin = blockIdx.x * tiles, end = min(begin + tiles, (count + 31) / 32);
"""
    + _COMMON
    + _TILES
    + _AFFINE
    + r"""
    if (begin >= end) {
        parameters(first_output, reinterpret_cast<float*>(tile));
        parameters(first_output + 32, reinterpret_cast<float*>(tile));
        return;
    }
    fetch(begin * 32);
    for (int t = begin; t < end; ++t) {
        turn();
        __syncthreads();
        if (t + 1 < end) fetch((t + 1) * 32);
        const int word = t * 32 + thread % 32;
        #pragma unroll
        for (int output = thread / 32; output < TILE; output += 8)
            if (word < count && first_output + output < outputs)
                moved[(size_t)(first_output + output) * count + word] = tile[output][thread % 32];
        __syncthreads();
    }
"""
)

# A block has all words of STRIP outputs in shared memory, and picks channels from them: of four outputs at once, two
# words after each other.
_REORDER = (
    r"""
    const int count = dims[0], outputs = dims[1], groups = dims[2], repeat = dims[3];
"""
    + _COMMON
    + _AFFINE
    + r"""
    extern __shared__ char memory[];
    const int strips = (outputs + STRIP - 1) / STRIP;
    if (blockIdx.x >= strips) {
        parameters((blockIdx.x - strips) * 32, reinterpret_cast<float*>(memory));
        return;
    }
    unsigned* strip = reinterpret_cast<unsigned*>(memory);
    const int first_output = blockIdx.x * STRIP;
    if (outputs % 4 == 0 && reinterpret_cast<size_t>(stored) % 16 == 0) {
        constexpr int QUARTER = STRIP / 4;
        const int output = first_output + thread % QUARTER * 4;
        if (output < outputs) {
            #pragma unroll 8
            for (int word = thread / QUARTER; word < count; word += THREADS / QUARTER)
                *reinterpret_cast<uint4*>(strip + word * STRIP + thread % QUARTER * 4)
                    = *reinterpret_cast<const uint4*>(stored + (size_t)word * outputs + output);
        }
    } else {
        const int output = first_output + thread % STRIP;
        for (int word = thread / STRIP; word < count; word += THREADS / STRIP)
            strip[word * STRIP + thread % STRIP] = output < outputs ? stored[(size_t)word * outputs + output] : 0;
    }
    __syncthreads();
    const unsigned last = count * FIELDS - 1;
    const int four = thread % (STRIP / 4) * 4;
    for (int first = thread / (STRIP / 4) * 2; first < count; first += THREADS / (STRIP / 4) * 2) {
        uint4 found[2];
        #pragma unroll
        for (int word = 0; word < 2; ++word) {
            uint4 value = {0, 0, 0, 0};
            if (first + word < count) {
                #pragma unroll
                for (int field = 0; field < FIELDS; ++field) {
                    const unsigned channel = min((unsigned)channels[(first + word) * FIELDS + field], last);
                    const uint4 from = *reinterpret_cast<const uint4*>(strip + channel / FIELDS * STRIP + four);
                    const int shift = BITS * (channel % FIELDS);
                    value.x |= (from.x >> shift & MASK) << BITS * field;
                    value.y |= (from.y >> shift & MASK) << BITS * field;
                    value.z |= (from.z >> shift & MASK) << BITS * field;
                    value.w |= (from.w >> shift & MASK) << BITS * field;
                }
            }
            found[word] = value;
        }
        const uint2 turned[4] = {
            {found[0].x, found[1].x},
            {found[0].y, found[1].y},
            {found[0].z, found[1].z},
            {found[0].w, found[1].w},
        };
        #pragma unroll
        for (int output = 0; output < 4; ++output) {
            if (first_output + four + output >= outputs) break;
            unsigned* to = moved + (size_t)(first_output + four + output) * count + first;
            if (count % 2 == 0) *reinterpret_cast<uint2*>(to) = turned[output];
            else {
                to[0] = turned[output].x;
                if (first + 1 < count) to[1] = turned[output].y;
            }
        }
    }
"""
)

# A block for each group finds its channels, in their order: each warp counts those of its part, then puts them down.
_SORT = r"""
    const int entries = dims[0], size = dims[1], group = blockIdx.x;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int part = (entries + 2047) / 2048 * 256, begin = warp * part, end = min(begin + part, entries);
    __shared__ int counts[8];
    auto each_of = [&](auto meet) {
        for (int first = begin; first < end; first += 256) {
            bool mine[8];
            #pragma unroll
            for (int each = 0; each < 8; ++each) {
                const int channel = first + each * 32 + lane;
                mine[each] = channel < end && index[channel] == group;
            }
            #pragma unroll
            for (int each = 0; each < 8; ++each)
                meet(first + each * 32 + lane, mine[each], __ballot_sync(0xFFFFFFFFu, mine[each]));
        }
    };
    int found = 0;
    each_of([&](int, bool, unsigned all) { found += __popc(all); });
    if (lane == 0) counts[warp] = found;
    __syncthreads();
    int place = 0, total = 0;
    for (int other = 0; other < 8; ++other) {
        if (other < warp) place += counts[other];
        total += counts[other];
    }
    bool apart = false;
    each_of([&](int channel, bool mine, unsigned all) {
        const int to = place + __popc(all & (1u << lane) - 1);
        if (mine && to < size) channels[group * size + to] = channel;
        apart |= mine && group * size + to != channel;
        place += __popc(all);
    });
    // Where a group has too few, another has too many, or there is a channel of no group.
    if (threadIdx.x == 0 && total != size) const_cast<unsigned*>(told)[0] = 1;
    if (__any_sync(0xFFFFFFFFu, apart) && lane == 0) const_cast<unsigned*>(told)[1] = 1;
"""

_KERNELS = {
    "dense": (["stored", "order", "scales", "zeros", "index", "told", "dims"], ["dense"], _DENSE),
    "move": (["stored", "order", "scales", "zeros", "told", "dims"], ["moved", "turned_scales", "biases"], _MOVE),
    "reorder": (
        ["stored", "order", "scales", "zeros", "channels", "told", "dims"],
        ["moved", "turned_scales", "biases"],
        _REORDER,
    ),
    "sort": (["index", "told", "dims"], ["channels"], _SORT),
}


def _room(needed: int) -> int:
    """Shared memory for so many bytes: beyond what any block may have beside a tile, one of a few sizes."""
    return needed if needed <= _SHARED else max(_STEP * 4, -(-needed // _STEP) * _STEP)


@functools.cache
def _kernel(kind: str, shared: int) -> Any:
    inputs, results, source = _KERNELS[kind]
    # What a block may have beyond that, MLX tells a kernel when it is first used: it is one of its own for each size.
    return mx.fast.cuda_kernel(
        name=f"mlx_quant_{kind}" + (f"_{shared}" if shared > _SHARED else ""),
        input_names=inputs,
        output_names=results,
        source=source,
        shared_memory=shared,
    )


@functools.lru_cache(maxsize=1024)
def numbers(*values: int) -> mx.array:
    """int32 that lies on the device: new numbers of the host would be moved there page by page, for each call."""
    found = mx.array(values, dtype=mx.int32)
    mx.eval(found)
    return found


def _run(
    kind: str,
    inputs: list[mx.array],
    template: dict[str, Any],
    blocks: tuple[int, int],
    results: Sequence[tuple[tuple[int, ...], mx.Dtype]],
    shared: int = 0,
    threads: int = _THREADS,
) -> list[mx.array]:
    found: list[mx.array] = _kernel(kind, shared)(
        inputs=inputs,
        template=list(template.items()),
        grid=(blocks[0] * threads, blocks[1], 1),
        threadgroup=(threads, 1, 1),
        output_shapes=[shape for shape, _ in results],
        output_dtypes=[dtype for _, dtype in results],
    )
    return found


def _of_dense(groups: int, size: int, mapped: bool, bits: int, bytes_of_scale: int, tiles: int) -> tuple[int, int, int]:
    """Outputs of a tile, groups whose parameters a block holds, and bytes of shared memory for them."""
    held = groups if mapped else min(groups, tiles * WORDS * 32 // bits // size + 2)
    each = held * (4 if bytes_of_scale == 2 else 8)
    tile = 64 if each * 65 <= _SMALL else 32
    return tile, held, -(-each * (tile + 1) // 16) * 16


def holds_dense(groups: int, size: int, mapped: bool, bits: int, bytes_of_scale: int) -> bool:
    """Whether the parameters that a block of :func:`dense` needs fit into its shared memory."""
    return _of_dense(groups, size, mapped, bits, bytes_of_scale, 4)[2] <= _SHARED


def dense(
    stored: mx.array,
    scales: mx.array,
    zeros: mx.array,
    index: mx.array | None,
    told: mx.array,
    layout: int,
    order: tuple[int, ...],
    lie: int,
    added: int,
    size: int,
    bits: int,
    dtype: mx.Dtype,
) -> mx.array:
    """``W`` [outputs, in] as ``dtype``.

    Args:
        stored: uint32, words which lie as ``layout`` says.
        zeros: zero points, which lie as ``lie`` says, and ``added``, what must be added to a field.
        index: int32 [in], groups of channels; None for consecutive ones of ``size``.
        told: uint32 [2], zeros of the host; see above.
        order: of NIBBLES and ORDERED the output of each nibble, then the nibble of each output.
    """
    groups, outputs = scales.shape
    count, mapped = stored.size // outputs, index is not None
    whole = -(-count // WORDS)
    tiles = min(whole, 4 if mapped else 2)
    tile, held, shared = _of_dense(groups, size, mapped, bits, scales.dtype.size, tiles)
    template = {
        "U": dtype,
        "S": scales.dtype,
        "BITS": bits,
        "LAYOUT": layout,
        "TILE": tile,
        "ZEROS": lie,
        "ADDED": added,
        "MAPPED": mapped,
        "WHOLE": size % (32 // bits) == 0,
    }
    dims = numbers(count, outputs, groups, size, held, tiles)
    inputs = [stored, numbers(*order), scales, zeros, numbers(0) if index is None else index, told, dims]
    blocks = -(-whole // tiles), -(-outputs // tile)
    return _run("dense", inputs, template, blocks, [((outputs, count * 32 // bits), dtype)], shared)[0]


def holds_reordered(count: int) -> bool:
    """Whether so many words of an output fit into the shared memory of a block of :func:`affine`."""
    return count * 8 * 4 <= _LARGEST


def affine(
    stored: mx.array,
    scales: mx.array,
    zeros: mx.array,
    index: mx.array | None,
    told: mx.array,
    layout: int,
    order: tuple[int, ...],
    lie: int,
    added: int,
    repeat: int,
    bits: int,
    dtype: mx.Dtype,
) -> tuple[mx.array, ...]:
    """Words uint32 [outputs, n], scales and biases ``RN(-z * s)`` [outputs, groups * repeat] as ``dtype``.

    Arguments as :func:`dense`. Where there is an ``index``, all of whose groups must have one size, channels are put in
    the order of their groups, and int32 [in], that order, comes last; words must lie in columns then.
    """
    groups, outputs = scales.shape
    count = stored.size // outputs
    template = {"U": dtype, "S": scales.dtype, "BITS": bits, "ZEROS": lie, "ADDED": added}
    results = [((outputs, count), mx.uint32)] + [((outputs, groups * repeat), dtype)] * 2
    if index is not None:
        dims = numbers(index.size, index.size // groups)
        (channels,) = _run("sort", [index, told, dims], {}, (groups, 1), [(index.shape, mx.int32)])
        strip = 16 if count * 16 * 4 <= _LARGEST else 8
        shared = _room(max(count * strip, 2 * 32 * 33) * 4)
        template |= {"STRIP": strip, "THREADS": _MANY}
        inputs = [stored, numbers(*order), scales, zeros, channels, told, numbers(count, outputs, groups, repeat)]
        blocks = -(-outputs // strip) + -(-outputs // 32), 1
        return *_run("reorder", inputs, template, blocks, results, shared, _MANY), channels
    whole, tile = -(-count // WORDS), 64
    tiles = min(whole, 4)
    template |= {"LAYOUT": layout, "TILE": tile, "THREADS": _THREADS}
    inputs = [stored, numbers(*order), scales, zeros, told, numbers(count, outputs, groups, repeat, tiles)]
    # One row of blocks more has the parameters.
    blocks = -(-whole // tiles) + 1, -(-outputs // tile)
    return tuple(_run("move", inputs, template, blocks, results))
