// What a CPU decodes with where there is a C++ compiler: mlx_quant/weights/cpu.py compiles this file, and says of each
// function what its arguments are. Everything is little-endian, and rows of results lie one after another.
//
// Vectors are those of GCC and Clang, which make of them what the machine has. Nothing may be reordered or fused that
// changes a rounding: no -ffast-math, no contraction.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(__SSSE3__)
#include <tmmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

using std::ptrdiff_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;
using std::uintptr_t;

// Not aligned: tensors begin anywhere in a file.
typedef uint32_t Words __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t Quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint16_t Shorts __attribute__((vector_size(16), aligned(2), may_alias));
typedef float Floats __attribute__((vector_size(32), aligned(4), may_alias));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLED(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define SHUFFLED(a, b, i, j, k, l) __builtin_shuffle(a, b, Quad{i, j, k, l})
#endif

// So that what an array holds stays in registers.
#define UNROLLED _Pragma("GCC unroll 8")

// ---- words turned

// A tile of so many words each way is a line of cache wide, and stays in the first cache.
constexpr ptrdiff_t TILE = 16, LINE = 4 * TILE;
// So many rows of a result that passes the caches by are made at once: what is read for them are long runs.
constexpr ptrdiff_t BAND = 256;

// 4 x 4 words; rows of the result are [0][part] to [3][part].
inline void transpose_four(const uint32_t *from, ptrdiff_t from_row, Quad (*to)[4], int part) {
  const Quad a = *(const Quad *)from, b = *(const Quad *)(from + from_row);
  const Quad c = *(const Quad *)(from + 2 * from_row), d = *(const Quad *)(from + 3 * from_row);
  const Quad ab = SHUFFLED(a, b, 0, 4, 1, 5), cd = SHUFFLED(c, d, 0, 4, 1, 5);
  const Quad AB = SHUFFLED(a, b, 2, 6, 3, 7), CD = SHUFFLED(c, d, 2, 6, 3, 7);
  to[0][part] = SHUFFLED(ab, cd, 0, 1, 4, 5);
  to[1][part] = SHUFFLED(ab, cd, 2, 3, 6, 7);
  to[2][part] = SHUFFLED(AB, CD, 0, 1, 4, 5);
  to[3][part] = SHUFFLED(AB, CD, 2, 3, 6, 7);
}

// A line, or past the caches, where it need not be fetched before it is written; it must lie on one then.
template <bool PAST>
inline void put(const Quad *line, uint32_t *to) {
#if defined(__SSE2__)
  if (PAST) {
    UNROLLED for (int i = 0; i < 4; i++) _mm_stream_si128((__m128i *)to + i, (__m128i)line[i]);
    return;
  }
#endif
  UNROLLED for (int i = 0; i < 4; i++) *(Quad *)(to + 4 * i) = line[i];
}

// Where in each row of so many words a line begins, if results that nobody reads soon can pass the caches by; else -1.
ptrdiff_t first_line(const uint32_t *to, ptrdiff_t words, int cold) {
#if defined(__SSE2__)
  if (cold && words % TILE == 0) return -(uintptr_t)to % LINE / 4;
#endif
  return -1;
}

// Others see what passed the caches by from here on.
inline void finish() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

template <bool PAST>
inline void transpose_tile(const uint32_t *from, ptrdiff_t from_row, uint32_t *to, ptrdiff_t to_row) {
  for (ptrdiff_t j = 0; j < TILE; j += 4) {
    Quad turned[4][4];
    UNROLLED for (int i = 0; i < 4; i++) transpose_four(from + 4 * i * from_row + j, from_row, turned, i);
    UNROLLED for (int i = 0; i < 4; i++) put<PAST>(turned[i], to + (j + i) * to_row);
  }
}

// [height, width] to [width, height], at most a tile.
void transpose(const uint32_t *from, ptrdiff_t from_row, uint32_t *to, ptrdiff_t to_row, ptrdiff_t height,
               ptrdiff_t width, bool past) {
  if (height == TILE && width == TILE) {
    if (past)
      transpose_tile<true>(from, from_row, to, to_row);
    else
      transpose_tile<false>(from, from_row, to, to_row);
  } else {
    for (ptrdiff_t j = 0; j < width; j++)
      for (ptrdiff_t i = 0; i < height; i++) to[j * to_row + i] = from[i * from_row + j];
  }
}

// Of a pair of rows of an 8 x 8 block of nibbles, the parts that change places.
inline void exchange(Words &upper, Words &lower, int shift, uint32_t mask) {
  const Words changed = ((upper >> shift) ^ lower) & mask;
  lower ^= changed;
  upper ^= changed << shift;
}

// Eight blocks of 8 x 8 nibbles at once, a word of each in every row: nibble k of row i becomes nibble i of row k.
inline void transpose_nibbles(Words *rows) {
  UNROLLED for (int i = 0; i < 4; i++) exchange(rows[i], rows[i + 4], 16, 0x0000FFFF);
  UNROLLED for (int i = 0; i < 4; i++) exchange(rows[i + i / 2 * 2], rows[i + i / 2 * 2 + 2], 8, 0x00FF00FF);
  UNROLLED for (int i = 0; i < 4; i++) exchange(rows[2 * i], rows[2 * i + 1], 4, 0x0F0F0F0F);
}

// ---- fields of bytes

// Eight fields of BITS, lowest first, into a byte each, and back: halves move apart, then quarters, then eighths.
template <int BITS>
struct Fields {
  static constexpr uint64_t below(int bits) { return bits < 64 ? (uint64_t(1) << bits) - 1 : ~uint64_t(0); }
  static constexpr uint64_t HALVES = below(4 * BITS);
  static constexpr uint64_t QUARTERS = below(2 * BITS) * 0x0000000100000001;
  static constexpr uint64_t EIGHTHS = below(BITS) * 0x0001000100010001;

  static uint64_t spread(uint64_t fields) {
    if (BITS == 8) return fields;
    fields = (fields & HALVES) | (fields >> (4 * BITS) & HALVES) << 32;
    fields = (fields & QUARTERS) | (fields >> (2 * BITS) & QUARTERS) << 16;
    return (fields & EIGHTHS) | (fields >> BITS & EIGHTHS) << 8;
  }

  static uint64_t joined(uint64_t octets) {
    if (BITS == 8) return octets;
    octets = (octets & EIGHTHS) | (octets >> 8 & EIGHTHS) << BITS;
    octets = (octets & QUARTERS) | (octets >> 16 & QUARTERS) << (2 * BITS);
    return (octets & HALVES) | (octets >> 32 & HALVES) << (4 * BITS);
  }

  static void unpack(const uint8_t *from, ptrdiff_t count, uint8_t *to) {
    const ptrdiff_t whole = count / 8, rest = count % 8;
    for (ptrdiff_t block = 0; block < whole; block++) {
      uint64_t fields = 0;
      std::memcpy(&fields, from + block * BITS, BITS);
      fields = spread(fields);
      std::memcpy(to + 8 * block, &fields, 8);
    }
    if (rest) {
      uint64_t fields = 0;
      std::memcpy(&fields, from + whole * BITS, (rest * BITS + 7) / 8);
      fields = spread(fields);
      std::memcpy(to + 8 * whole, &fields, rest);
    }
  }

  static void pack(const uint8_t *from, ptrdiff_t blocks, uint8_t *to) {
    for (ptrdiff_t block = 0; block < blocks; block++) {
      uint64_t octets;
      std::memcpy(&octets, from + 8 * block, 8);
      octets = joined(octets);
      std::memcpy(to + BITS * block, &octets, BITS);
    }
  }
};

#define WITH_BITS(bits, call)       \
  switch (bits) {                   \
    case 1: Fields<1>::call; break; \
    case 2: Fields<2>::call; break; \
    case 3: Fields<3>::call; break; \
    case 4: Fields<4>::call; break; \
    case 5: Fields<5>::call; break; \
    case 6: Fields<6>::call; break; \
    case 7: Fields<7>::call; break; \
    case 8: Fields<8>::call; break; \
  }

// The first fields of a row of bytes, lowest first.
void unpack_row(const uint8_t *from, int bits, ptrdiff_t count, uint8_t *to) {
  WITH_BITS(bits, unpack(from, count, to))
}

// ---- numbers looked up

// 16 codes at once in a list of 16, whose last number those beyond mean: the halves of a number of 16 bits are looked up
// one by one.
#if defined(__SSSE3__)
struct Sixteen {
  __m128i low, high;
  explicit Sixteen(const uint16_t *list) {
    const __m128i a = _mm_loadu_si128((const __m128i *)list), b = _mm_loadu_si128((const __m128i *)(list + 8));
    const __m128i octet = _mm_set1_epi16(0xFF);
    low = _mm_packus_epi16(_mm_and_si128(a, octet), _mm_and_si128(b, octet));
    high = _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8));
  }
  void look_up(const uint8_t *codes, uint16_t *to) const {
    const __m128i index = _mm_min_epu8(_mm_loadu_si128((const __m128i *)codes), _mm_set1_epi8(15));
    const __m128i lows = _mm_shuffle_epi8(low, index), highs = _mm_shuffle_epi8(high, index);
    _mm_storeu_si128((__m128i *)to, _mm_unpacklo_epi8(lows, highs));
    _mm_storeu_si128((__m128i *)(to + 8), _mm_unpackhi_epi8(lows, highs));
  }
};
#define HAS_SIXTEEN 1
#elif defined(__aarch64__)
struct Sixteen {
  uint8x16x2_t halves;
  explicit Sixteen(const uint16_t *list) { halves = vld2q_u8((const uint8_t *)list); }
  void look_up(const uint8_t *codes, uint16_t *to) const {
    const uint8x16_t index = vminq_u8(vld1q_u8(codes), vdupq_n_u8(15));
    // Clang has a macro here, which takes the commas of a list for its own.
    uint8x16x2_t found;
    found.val[0] = vqtbl1q_u8(halves.val[0], index);
    found.val[1] = vqtbl1q_u8(halves.val[1], index);
    vst2q_u8((uint8_t *)to, found);
  }
};
#define HAS_SIXTEEN 1
#endif

// Neighbouring codes that share a list of so many numbers; a code beyond its end means the last.
template <class Number>
inline void look_up_run(const uint8_t *codes, ptrdiff_t count, const Number *list, ptrdiff_t length, Number *to) {
  ptrdiff_t i = 0;
#if defined(HAS_SIXTEEN)
  if (sizeof(Number) == 2 && length <= 16 && count >= 16) {
    uint16_t padded[16];
    for (ptrdiff_t k = 0; k < 16; k++) padded[k] = (uint16_t)list[std::min(k, length - 1)];
    const Sixteen sixteen(padded);
    for (; i + 16 <= count; i += 16) sixteen.look_up(codes + i, (uint16_t *)to + i);
  }
#endif
  for (; i < count; i++) to[i] = list[std::min<ptrdiff_t>(codes[i], length - 1)];
}

// Codes are unpacked so many at a time, a multiple of the runs of most files, and looked up while they are near.
constexpr ptrdiff_t NEAR = 1024;

template <class Number>
void look_up_rows(const uint8_t *fields, ptrdiff_t fields_row, int bits, ptrdiff_t rows, ptrdiff_t columns,
                  const Number *lists, ptrdiff_t width, ptrdiff_t height, ptrdiff_t above, const uint32_t *first,
                  ptrdiff_t run, ptrdiff_t levels, Number *to) {
  uint8_t near[NEAR];
  for (ptrdiff_t row = 0; row < rows; row++, fields += fields_row, to += columns) {
    const Number *own = lists + (row + above) / height * width;
    for (ptrdiff_t begin = 0; begin < columns; begin += NEAR) {
      const ptrdiff_t end = std::min(begin + NEAR, columns);
      const uint8_t *codes = bits == 8 ? fields + begin : near;
      if (bits < 8) unpack_row(fields + begin / 8 * bits, bits, end - begin, near);
      if (run > 1) {
        for (ptrdiff_t i = begin, next; i < end; i = next) {
          next = std::min((i / run + 1) * run, end);
          const ptrdiff_t list = first[i / run], length = std::min<ptrdiff_t>(levels, width - list);
          look_up_run(codes + i - begin, next - i, own + list, length, to + i);
        }
      } else {
        for (ptrdiff_t i = begin; i < end; i++)
          to[i] = own[std::min<ptrdiff_t>(first[i] + codes[i - begin], width - 1)];
      }
    }
  }
}

// ---- floats

enum Dtype { HALF, BFLOAT, SINGLE };

inline Words bits_of(Floats values) { return (Words)values; }
inline Words chosen(Words where, Words yes, Words no) { return (where & yes) | (~where & no); }

// Bits of float16 of finite numbers, to nearest even. No number on the way is subnormal, because a CPU can be told to take
// those for zero.
inline Words half_bits(Floats values) {
  const Words bits = bits_of(values), sign = bits & 0x80000000u, size = bits ^ sign;
  const Words normal = (size - (112u << 23) + 0xFFF + (size >> 13 & 1)) >> 13;
  // Beside 0.5 the last bit of a float is worth what it is in a subnormal float16.
  const Words small = bits_of((Floats)size + 0.5f) - 0x3F000000u;
  const Words infinite = (Words)(size >= (143u << 23)), subnormal = (Words)(size < (113u << 23));
  return chosen(infinite, Words{} + 0x7C00u, chosen(subnormal, small, normal)) | sign >> 16;
}

inline Words bfloat_bits(Floats values) {
  const Words bits = bits_of(values);
  return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}

// Up to eight numbers; of eight compilers know the size.
template <class Number>
inline void copy(void *to, const Number *from, ptrdiff_t count) {
  if (count == 8)
    std::memcpy(to, from, 8 * sizeof(Number));
  else
    std::memcpy(to, from, count * sizeof(Number));
}

// Up to eight neighbours, finite float16 or bfloat16 by their bits, or float32.
inline Floats load(const void *memory, ptrdiff_t place, ptrdiff_t count, int dtype) {
  if (dtype == SINGLE) {
    Floats values = {};
    copy(&values, (const float *)memory + place, count);
    return values;
  }
  Shorts stored = {};
  copy(&stored, (const uint16_t *)memory + place, count);
  const Words bits = __builtin_convertvector(stored, Words);
  if (dtype == BFLOAT) return (Floats)(bits << 16);
  const Words size = (bits & 0x7FFF) << 13, sign = (bits & 0x8000) << 16;
  // Of a subnormal number the digits follow 2^-14, which is then taken away.
  const Floats small = (Floats)(size + (113u << 23)) - 1.0f / (1 << 14);
  return (Floats)(chosen((Words)(size < (1u << 23)), bits_of(small), size + (112u << 23)) | sign);
}

// Four bytes, moved apart to 16 bits each.
inline uint64_t apart(uint64_t octets) {
  octets = (octets | octets << 16) & 0x0000FFFF0000FFFF;
  return (octets | octets << 8) & 0x00FF00FF00FF00FF;
}

// Up to eight neighbouring zero points. They are spread out in two words and become signed ones: of eight bytes, and of
// unsigned numbers, GCC would convert one after another.
inline Floats points(const uint8_t *zeros, ptrdiff_t place, ptrdiff_t count) {
  typedef int32_t Signed __attribute__((vector_size(32)));
  typedef uint64_t Pair __attribute__((vector_size(16)));
  uint64_t stored = 0;
  copy(&stored, zeros + place, count);
  const Pair spread = {apart(stored & 0xFFFFFFFF), apart(stored >> 32)};
  return __builtin_convertvector((Signed)__builtin_convertvector((Shorts)spread, Words), Floats);
}

// The first of eight numbers, rounded to a dtype.
inline void store(Floats values, ptrdiff_t count, int dtype, void *to, ptrdiff_t place) {
  if (dtype == SINGLE) {
    copy((float *)to + place, (const float *)&values, count);
    return;
  }
  const Words wide = dtype == HALF ? half_bits(values) : bfloat_bits(values);
  const Shorts narrow = __builtin_convertvector(wide, Shorts);
  copy((uint16_t *)to + place, (const uint16_t *)&narrow, count);
}

// A parameter of up to eight rows: the scale, which is only copied where it keeps its dtype, or -(z * s).
inline void parameters(const void *scales, int stored, ptrdiff_t place, const uint8_t *zeros, ptrdiff_t zeros_place,
                       ptrdiff_t count, int dtype, void *to) {
  if (!zeros && stored == dtype && dtype != SINGLE) {
    copy((uint16_t *)to, (const uint16_t *)scales + place, count);
    return;
  }
  Floats values = load(scales, place, count, stored);
  if (zeros) values = -(points(zeros, zeros_place, count) * values);
  store(values, 8, dtype, to, 0);
}

// 8 x 8 numbers of 16 bits, of which the first columns become rows.
inline void transpose_shorts(const Quad *rows, ptrdiff_t columns, uint16_t *to, ptrdiff_t to_row) {
  Quad pairs[2][4], turned[4][4];
  UNROLLED for (int i = 0; i < 4; i++) {
    const Quad a = rows[2 * i], b = rows[2 * i + 1];
    pairs[0][i] = (a & 0x0000FFFF) | b << 16;
    pairs[1][i] = a >> 16 | (b & 0xFFFF0000u);
  }
  UNROLLED for (int i = 0; i < 2; i++) transpose_four((const uint32_t *)pairs[i], 4, turned, i);
  for (ptrdiff_t i = 0; i < columns; i++) *(Quad *)(to + i * to_row) = turned[i / 2][i % 2];
}

// As list_parameters.
template <class Number>
void list_repeated(const void *scales, int stored, ptrdiff_t scales_row, const uint8_t *zeros, ptrdiff_t zeros_row,
                   ptrdiff_t groups, ptrdiff_t rows, ptrdiff_t repeat, int dtype, Number *to) {
  for (ptrdiff_t row = 0; row < rows; row += 8) {
    const ptrdiff_t count = std::min<ptrdiff_t>(8, rows - row);
    ptrdiff_t group = 0;
    if (sizeof(Number) == 2 && repeat == 1) {
      for (; group + 8 <= groups; group += 8) {
        Quad eight[8];
        UNROLLED for (int i = 0; i < 8; i++)
          parameters(scales, stored, (group + i) * scales_row + row, zeros, (group + i) * zeros_row + row, count, dtype,
                     eight + i);
        transpose_shorts(eight, count, (uint16_t *)to + row * groups + group, groups);
      }
    }
    for (; group < groups; group++) {
      Number rounded[8];
      parameters(scales, stored, group * scales_row + row, zeros, group * zeros_row + row, count, dtype, rounded);
      Number *own = to + (row * groups + group) * repeat;
      for (ptrdiff_t i = 0; i < count; i++, own += groups * repeat) std::fill_n(own, repeat, rounded[i]);
    }
  }
}

}  // namespace

extern "C" {

// uint32 [words, ...] whose rows lie from_row apart, to [rows, words], which nobody reads soon if it is cold.
void turn_words(const uint32_t *from, ptrdiff_t from_row, ptrdiff_t words, ptrdiff_t rows, uint32_t *to, int cold) {
  const ptrdiff_t line = first_line(to, words, cold), band = line < 0 ? TILE : BAND;
  for (ptrdiff_t begin = 0; begin < rows; begin += band) {
    const ptrdiff_t end = std::min(begin + band, rows);
    for (ptrdiff_t word = 0, next; word < words; word = next) {
      next = word < line ? line : std::min(word + TILE, words);
      for (ptrdiff_t row = begin; row < end; row += TILE)
        transpose(from + word * from_row + row, from_row, to + row * words + word, words, next - word,
                  std::min(TILE, end - row), line >= 0);
    }
  }
  finish();
}

// uint32 [8 * words, ...] whose rows lie from_row apart, nibbles of eight outputs each, to [8 * columns, words]; nibble
// i of a word is output order[i] of its eight; cold as above.
void turn_nibbles(const uint32_t *from, ptrdiff_t from_row, ptrdiff_t words, ptrdiff_t columns, const int32_t *order,
                  uint32_t *to, int cold) {
  const ptrdiff_t line = first_line(to, words, cold);
  uint32_t tile[8][TILE][TILE];
  for (ptrdiff_t word = 0, next; word < words; word = next) {
    next = word < line ? line : std::min(word + TILE, words);
    for (ptrdiff_t column = 0; column < columns; column += TILE) {
      const ptrdiff_t width = std::min(TILE, columns - column), height = next - word;
      for (ptrdiff_t i = 0; i < height; i++) {
        for (ptrdiff_t part = 0; part < width; part += 8) {
          const uint32_t *own = from + (word + i) * 8 * from_row + column + part;
          Words rows[8];
          if (width - part >= 8) {
            // A core foresees no steps from page to page: what the next tile begins with is asked for here.
            UNROLLED for (int k = 0; k < 8; k++) {
              rows[k] = *(const Words *)(own + k * from_row);
              __builtin_prefetch(own + k * from_row + TILE);
            }
          } else {
            for (int k = 0; k < 8; k++) {
              rows[k] = Words{};
              std::memcpy(&rows[k], own + k * from_row, 4 * (width - part));
            }
          }
          transpose_nibbles(rows);
          UNROLLED for (int k = 0; k < 8; k++) *(Words *)&tile[k][i][part] = rows[k];
        }
      }
      for (int k = 0; k < 8; k++)
        transpose(tile[k][0], TILE, to + (column * 8 + order[k]) * words + word, 8 * words, height, width, line >= 0);
    }
  }
  finish();
}

// The first fields of rows that lie from_row bytes apart, to uint8 [rows, count].
void unpack(const uint8_t *from, ptrdiff_t from_row, ptrdiff_t rows, int bits, ptrdiff_t count, uint8_t *to) {
  for (ptrdiff_t row = 0; row < rows; row++) unpack_row(from + row * from_row, bits, count, to + row * count);
}

// uint8 [8 * blocks] to fields.
void pack(const uint8_t *from, ptrdiff_t blocks, int bits, uint8_t *to) { WITH_BITS(bits, pack(from, blocks, to)) }

// uint8 [rows, columns] in another order of columns.
void reorder(const uint8_t *from, ptrdiff_t rows, ptrdiff_t columns, const int32_t *order, uint8_t *to) {
  for (ptrdiff_t row = 0; row < rows; row++, from += columns, to += columns)
    for (ptrdiff_t i = 0; i < columns; i++) to[i] = from[order[i]];
}

// Codes of bits, in rows of bytes fields_row apart, to numbers of size bytes [rows, columns]: row r has the row
// (r + above) / height of lists [..., width], in which each run of columns has the levels numbers from its first on.
void look_up(const uint8_t *fields, ptrdiff_t fields_row, int bits, ptrdiff_t rows, ptrdiff_t columns,
             const void *lists, ptrdiff_t width, ptrdiff_t height, ptrdiff_t above, const uint32_t *first,
             ptrdiff_t run, ptrdiff_t levels, int size, void *to) {
  if (size == 2)
    look_up_rows(fields, fields_row, bits, rows, columns, (const uint16_t *)lists, width, height, above, first, run,
                 levels, (uint16_t *)to);
  else
    look_up_rows(fields, fields_row, bits, rows, columns, (const uint32_t *)lists, width, height, above, first, run,
                 levels, (uint32_t *)to);
}

// What each code of a group means, s * (q - z): scales and zeros [groups, ...], rows of which lie apart, to
// [rows, groups, 2^bits].
void list_products(const void *scales, int stored, ptrdiff_t scales_row, const uint8_t *zeros, ptrdiff_t zeros_row,
                   ptrdiff_t groups, ptrdiff_t rows, int bits, int dtype, void *to) {
  const ptrdiff_t levels = ptrdiff_t(1) << bits;
  const Floats eight = {0, 1, 2, 3, 4, 5, 6, 7};
  for (ptrdiff_t part = 0; part < rows; part += 8)
    for (ptrdiff_t group = 0; group < groups; group++) {
      const ptrdiff_t count = std::min<ptrdiff_t>(8, rows - part);
      const Floats scale = load(scales, group * scales_row + part, count, stored);
      const Floats zero = points(zeros, group * zeros_row + part, count);
      for (ptrdiff_t i = 0; i < count; i++)
        for (ptrdiff_t code = 0; code < levels; code += 8)
          store(scale[i] * (eight + ((float)code - zero[i])), std::min<ptrdiff_t>(8, levels - code), dtype, to,
                ((part + i) * groups + group) * levels + code);
    }
}

// Parameters of MLX's affine form, each repeated, to [rows, groups * repeat]: the scales themselves or, where there are
// zeros, -(z * s).
void list_parameters(const void *scales, int stored, ptrdiff_t scales_row, const uint8_t *zeros, ptrdiff_t zeros_row,
                     ptrdiff_t groups, ptrdiff_t rows, ptrdiff_t repeat, int dtype, void *to) {
  if (dtype == SINGLE)
    list_repeated(scales, stored, scales_row, zeros, zeros_row, groups, rows, repeat, dtype, (uint32_t *)to);
  else
    list_repeated(scales, stored, scales_row, zeros, zeros_row, groups, rows, repeat, dtype, (uint16_t *)to);
}

}  // extern "C"
