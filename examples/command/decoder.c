/* A decoder of packed GPTQ and AWQ modules that speaks the conformance suite's protocol (docs/protocol.md), in C11.
 *
 * It was written from the definition of the formats and shares no code with the suite's other decoders. All arithmetic
 * is in integers, so that no rounding mode, no flushing of small numbers and no compiler option can change a weight.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- One question at a time: its memory, and the ways out of it ------------------------------------------------- */

typedef struct Block {
    struct Block *next;
    max_align_t data[];
} Block;

static Block *blocks;
static jmp_buf way_out;
static char reason[512];
static const char *code;
enum { REFUSED = 1, FAILED };

static _Noreturn void leave(int how, const char *slug, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    code = slug;
    longjmp(way_out, how);
}

/* "I do not read this": the input is wrong, or of a kind that this program does not decode. */
#define refuse(...) leave(REFUSED, __VA_ARGS__)
/* "I cannot do this": the request is not understood, or the machine has not enough of something. */
#define fail(...) leave(FAILED, "", __VA_ARGS__)

/* Zeroed memory that lasts until the question is answered. */
static void *memory(uint64_t count, uint64_t size) {
    if (size && count > (SIZE_MAX - sizeof(Block)) / size) fail("out of memory");
    Block *block = calloc(1, sizeof(Block) + (size_t)(count * size));
    if (!block) fail("out of memory");
    block->next = blocks;
    blocks = block;
    return block->data;
}

static void forget(void) {
    while (blocks) {
        Block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

typedef enum { NOTHING, BOOLEAN, INTEGER, REAL, TEXT, LIST, OBJECT } Kind;

typedef struct Json {
    Kind kind;
    bool truth;
    int64_t integer;
    double real;
    char *text; /* UTF-8; ends at its first zero byte */
    char *key;  /* of a member of an object */
    struct Json *first, *next;
} Json;

typedef struct {
    const char *at, *end;
    int depth;
} Reader;

static char peek(const Reader *in) { return in->at < in->end ? *in->at : '\0'; }

static void blanks(Reader *in) {
    while (in->at < in->end && strchr(" \t\r\n", *in->at) && *in->at) in->at++;
}

static bool taken(Reader *in, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length)) return false;
    in->at += length;
    return true;
}

static void expect(Reader *in, const char *word) {
    if (!taken(in, word)) fail("bad JSON: expected %s", word);
}

static uint32_t four_digits(Reader *in) {
    char digits[5] = {0};
    for (int i = 0; i < 4; i++, in->at++) {
        if (!isxdigit((unsigned char)peek(in))) fail("bad JSON: \\u needs four digits");
        digits[i] = *in->at;
    }
    return (uint32_t)strtoul(digits, NULL, 16);
}

static char *utf8(char *out, uint32_t point) {
    int tail = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    *out++ = (char)(tail ? (0xFF << (7 - tail) & 0xFF) | point >> 6 * tail : point);
    while (tail--) *out++ = (char)(0x80 | (point >> 6 * tail & 0x3F));
    return out;
}

static char *string(Reader *in) {
    expect(in, "\"");
    const char *close = in->at;
    while (close < in->end && *close != '"') close += *close == '\\' ? 2 : 1;
    if (close >= in->end) fail("bad JSON: a string has no end");
    /* No escape is shorter than what it stands for. */
    char *text = memory((uint64_t)(close - in->at) + 1, 1), *out = text;
    while (in->at < close) {
        char c = *in->at++;
        if (c != '\\') {
            *out++ = c;
            continue;
        }
        c = *in->at++;
        const char *names = "bfnrt\"\\/", *found = c ? strchr(names, c) : NULL;
        if (found) {
            *out++ = "\b\f\n\r\t\"\\/"[found - names];
            continue;
        }
        if (c != 'u') fail("bad JSON: unknown escape");
        uint32_t point = four_digits(in);
        if (point >= 0xD800 && point < 0xDC00 && taken(in, "\\u"))
            point = 0x10000 + ((point - 0xD800) << 10) + ((four_digits(in) - 0xDC00) & 0x3FF);
        out = utf8(out, point);
    }
    expect(in, "\"");
    return text;
}

static Json *value(Reader *in);

static Json *members(Reader *in, Json *self, const char *close) {
    if (++in->depth > 100) fail("JSON is nested too deeply");
    Json **last = &self->first;
    for (blanks(in); !taken(in, close); blanks(in)) {
        if (self->first) expect(in, ",");
        blanks(in);
        char *key = NULL;
        if (self->kind == OBJECT) {
            key = string(in);
            blanks(in);
            expect(in, ":");
        }
        *last = value(in);
        (*last)->key = key;
        last = &(*last)->next;
    }
    in->depth--;
    return self;
}

static Json *number(Reader *in, Json *self) {
    const char *start = in->at;
    while (peek(in) && strchr("+-.0123456789eE", peek(in))) in->at++;
    size_t length = (size_t)(in->at - start);
    char *digits = memcpy(memory(length + 1, 1), start, length), *stop;
    /* 4 and 4.0 are different answers to "how many bits". */
    self->kind = strpbrk(digits, ".eE") || length > 18 ? REAL : INTEGER;
    self->real = strtod(digits, &stop);
    if (!length || *stop) fail("bad JSON: neither a value nor a number");
    if (self->kind == INTEGER) self->integer = strtoll(digits, NULL, 10);
    return self;
}

static Json *value(Reader *in) {
    Json *self = memory(1, sizeof *self);
    blanks(in);
    if (peek(in) == '"') {
        self->text = string(in);
        self->kind = TEXT;
    } else if (taken(in, "{")) {
        self->kind = OBJECT;
        members(in, self, "}");
    } else if (taken(in, "[")) {
        self->kind = LIST;
        members(in, self, "]");
    } else if (taken(in, "true") || taken(in, "false")) {
        self->kind = BOOLEAN;
        self->truth = in->at[-2] == 'u';
    } else if (!taken(in, "null")) {
        number(in, self);
    }
    return self;
}

static Json *parsed(const char *text, size_t length) {
    Reader in = {text, text + length, 0};
    Json *self = value(&in);
    blanks(&in);
    if (in.at != in.end || self->kind != OBJECT) fail("bad JSON: not one object");
    return self;
}

/* A member that is there and not null, or NULL. */
static Json *member(const Json *object, const char *key) {
    Json *found = NULL;
    if (object && object->kind == OBJECT)
        for (Json *item = object->first; item; item = item->next)
            if (!strcmp(item->key, key)) found = item;
    return found && found->kind != NOTHING ? found : NULL;
}

static char *needed_text(const Json *object, const char *key) {
    Json *found = member(object, key);
    if (!found || found->kind != TEXT) fail("the request has no %s", key);
    return found->text;
}

/* In ASCII, so that a reason that was cut short is still UTF-8. */
static void say_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar(*text < 0x20 || *text > 0x7E ? '?' : *text);
    }
    putchar('"');
}

/* ---- safetensors ------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;  /* in safetensors */
    const char *asked; /* in a request */
    int bytes, exponent_bits, fraction_bits;
} Type;

static const Type TYPES[] = {
    {"F16", "float16", 2, 5, 10},
    {"BF16", "bfloat16", 2, 8, 7},
    {"F32", "float32", 4, 8, 23},
    {"I32", "int32", 4, 0, 0},
};

typedef struct Tensor {
    const char *name;
    const char *dtype;
    const Type *type; /* NULL if this program has no use for it */
    int axes;
    uint64_t shape[4], count;
    const unsigned char *data;
    struct Tensor *next;
} Tensor;

static const Type *type_named(const char *name) {
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (!strcmp(TYPES[i].name, name) || !strcmp(TYPES[i].asked, name)) return &TYPES[i];
    return NULL;
}

static uint64_t little_endian(const unsigned char *data, int bytes) {
    uint64_t value = 0;
    while (bytes--) value = value << 8 | data[bytes];
    return value;
}

static uint64_t element(const Tensor *tensor, uint64_t index) {
    return little_endian(tensor->data + index * (uint64_t)tensor->type->bytes, tensor->type->bytes);
}

static unsigned char *whole_file(const char *path, uint64_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail("cannot open %s", path);
    long end = ftell(file);
    if (end < 0) fail("cannot measure %s", path);
    *size = (uint64_t)end;
    unsigned char *data = memory(*size + 1, 1);
    rewind(file);
    uint64_t read = fread(data, 1, *size, file);
    fclose(file);
    if (read != *size) fail("cannot read %s", path);
    return data;
}

static Tensor *read_tensors(const char *path) {
    uint64_t size;
    unsigned char *file = whole_file(path, &size);
    uint64_t header = size < 8 ? 0 : little_endian(file, 8);
    if (size < 8 || header > size - 8) fail("%s is shorter than its header says", path);
    const unsigned char *data = file + 8 + header;
    uint64_t room = size - 8 - header;
    Tensor *tensors = NULL;
    for (Json *entry = parsed((char *)file + 8, header)->first; entry; entry = entry->next) {
        if (!strcmp(entry->key, "__metadata__")) continue;
        Tensor *self = memory(1, sizeof *self);
        Json *shape = member(entry, "shape"), *offsets = member(entry, "data_offsets");
        Json *start = offsets ? offsets->first : NULL, *end = start ? start->next : NULL;
        self->name = entry->key;
        self->dtype = needed_text(entry, "dtype");
        self->type = type_named(self->dtype);
        self->count = 1;
        if (!shape || shape->kind != LIST || !end || start->kind != INTEGER || end->kind != INTEGER ||
            start->integer < 0 || end->integer < start->integer || (uint64_t)end->integer > room)
            fail("bad entry: %s", self->name);
        for (Json *axis = shape->first; axis; axis = axis->next) {
            /* No tensor has more elements than its file has bytes, so nothing below can overflow. */
            if (self->axes == 4 || axis->kind != INTEGER || axis->integer < 0 || (uint64_t)axis->integer > size)
                fail("bad shape: %s", self->name);
            self->shape[self->axes++] = (uint64_t)axis->integer;
            self->count *= (uint64_t)axis->integer;
            if (self->count > size) fail("bad shape: %s", self->name);
        }
        if (self->type && self->count * (uint64_t)self->type->bytes != (uint64_t)(end->integer - start->integer))
            fail("bad offsets: %s", self->name);
        self->data = data + start->integer;
        self->next = tensors;
        tensors = self;
    }
    return tensors;
}

static void write_weight(const char *path, const Type *type, uint64_t out, uint64_t in, const unsigned char *data) {
    char header[256];
    uint64_t size = out * in * (uint64_t)type->bytes;
    int length = snprintf(header, sizeof header,
                          "{\"weight\":{\"dtype\":\"%s\",\"shape\":[%llu,%llu],\"data_offsets\":[0,%llu]}}", type->name,
                          (unsigned long long)out, (unsigned long long)in, (unsigned long long)size);
    while (length % 8) header[length++] = ' ';
    unsigned char prefix[8] = {(unsigned char)length, (unsigned char)(length >> 8)};
    FILE *file = fopen(path, "wb");
    if (!file) fail("cannot create %s", path);
    bool written = fwrite(prefix, 1, 8, file) == 8 && fwrite(header, 1, (size_t)length, file) == (size_t)length &&
                   fwrite(data, 1, size, file) == size;
    if (fclose(file) || !written) fail("cannot write %s", path);
}

/* ---- Arithmetic: RN(s * d), the exact product rounded once ------------------------------------------------------- */

static uint64_t infinity(const Type *type) { return ((UINT64_C(1) << type->exponent_bits) - 1) << type->fraction_bits; }

static int bias(const Type *type) { return (1 << (type->exponent_bits - 1)) - 1; }

/* The bits in `to` of a scale, given as bits of `from`, times a difference of -255 to 255. */
static uint32_t product(uint32_t scale, const Type *from, int difference, const Type *to) {
    uint64_t hidden = UINT64_C(1) << from->fraction_bits, fraction = scale & (hidden - 1);
    int field = (int)(scale >> from->fraction_bits & ((1u << from->exponent_bits) - 1));
    bool negative = (scale >> (from->exponent_bits + from->fraction_bits) & 1) != (difference < 0);
    uint64_t sign = (uint64_t)negative << (to->exponent_bits + to->fraction_bits);
    /* The exact magnitude is m * 2^x, where m has at most 32 bits. */
    uint64_t m = (field ? fraction | hidden : fraction) * (uint64_t)abs(difference);
    int x = (field ? field : 1) - bias(from) - from->fraction_bits;
    if (!m) return (uint32_t)sign;
    int top = x - 1, smallest = 1 - bias(to);
    for (uint64_t rest = m; rest; rest >>= 1) top++;
    /* What is kept is a whole number of 2^quantum: as many bits as `to` has, fewer below its normal numbers. */
    int quantum = (top > smallest ? top : smallest) - to->fraction_bits, dropped = quantum - x;
    uint64_t kept;
    if (dropped <= 0) {
        kept = m << -dropped;
    } else if (dropped > 40) {
        kept = 0; /* less than half of the smallest */
    } else {
        kept = m >> dropped;
        uint64_t lost = m - (kept << dropped), half = UINT64_C(1) << (dropped - 1);
        kept += lost > half || (lost == half && kept & 1);
    }
    /* Added, not combined: a carry out of the fraction moves on into the exponent, as it should. */
    uint64_t bits = top < smallest ? kept : ((uint64_t)(top - smallest) << to->fraction_bits) + kept;
    return (uint32_t)(sign | (bits < infinity(to) ? bits : infinity(to)));
}

/* ---- The configuration ------------------------------------------------------------------------------------------- */

typedef struct {
    bool awq;
    int bits;
    int64_t group_size;
    bool symmetric;             /* as GPTQ is where the file does not say */
    bool lost_order;            /* act-order without static groups: only g_idx knows the groups */
    bool version_2;             /* zero points are stored as they are, not minus one */
    const uint32_t *subtracted; /* from the words of zero points, by their number modulo 3; NULL if from each field */
} Settings;

/* The one value of a setting that has several names. */
static Json *setting(const Json *config, const char *first, const char *second, const char *third) {
    const char *names[] = {first, second, third};
    Json *found = NULL;
    for (int i = 0; i < 3; i++) {
        Json *other = names[i] ? member(config, names[i]) : NULL;
        bool same = found && other && found->kind == other->kind && found->truth == other->truth &&
                    found->real == other->real && (found->kind != TEXT || !strcmp(found->text, other->text));
        if (found && other && !same) refuse("config-contradiction", "%s and %s disagree", first, names[i]);
        found = found ? found : other;
    }
    return found;
}

static int64_t whole(const Json *found, const char *name, int64_t otherwise) {
    if (found && found->kind != INTEGER) refuse("bad-config-value", "%s is not an integer", name);
    return found ? found->integer : otherwise;
}

static bool stated(const Json *config, const char *name, bool meant) {
    Json *found = member(config, name);
    if (found && found->kind != BOOLEAN) refuse("bad-config-value", "%s is neither true nor false", name);
    return found && found->truth == meant;
}

/* Lower case, with dashes; NULL for what is absent or empty. */
static char *folded(const Json *found, const char *name) {
    if (!found) return NULL;
    if (found->kind != TEXT) refuse("bad-config-value", "%s is not a string", name);
    for (char *c = found->text; *c; c++) *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
    return *found->text ? found->text : NULL;
}

static bool is(const char *text, const char *other) { return text && !strcmp(text, other); }

/* GPTQModel from 0.9 on takes one from all zero points of a word by one subtraction, which may borrow across them; at
 * 3 bits, where fields lie in two words, only before 7.0, with constants that are not quite those of a one a field. */
static const uint32_t *by_subtraction(const Json *config, int bits) {
    static const uint32_t ones[][3] = {
        {0x55555555, 0x55555555, 0x55555555},
        {0x24924924, 0x92492492, 0x49249249},
        {0x11111111, 0x11111111, 0x11111111},
        {0x01010101, 0x01010101, 0x01010101},
    };
    Json *producer = member(member(config, "meta"), "quantizer");
    if (!producer) producer = member(config, "quantizer");
    if (producer && producer->kind == LIST) producer = producer->first;
    char *name = producer && producer->kind == TEXT ? folded(producer, "quantizer") : NULL;
    char *version = name ? strchr(name, ':') : NULL;
    if (!version || strncmp(name, "gptqmodel:", 10)) return NULL;
    long major = strtol(version + 1, &version, 10);
    long minor = *version == '.' ? strtol(version + 1, NULL, 10) : 0;
    if ((major == 0 && minor < 9) || (bits == 3 && major >= 7)) return NULL;
    return ones[bits == 8 ? 3 : bits - 2];
}

static char *method_of(const Json *config) {
    char *method = folded(member(config, "quant_method"), "quant_method");
    char *other = folded(member(config, "method"), "method");
    if (method && other && strcmp(method, other)) refuse("config-contradiction", "quant_method and method disagree");
    method = method ? method : other;
    if (!method && (member(config, "w_bit") || member(config, "q_group_size") || member(config, "zero_point")))
        return "awq"; /* early AutoAWQ wrote no method */
    if (!method && member(config, "desc_act")) return "gptq"; /* nor did AutoGPTQ */
    if (!method) refuse("not-quantized", "no quant_method");
    return method;
}

static Settings settings_of(const Json *config) {
    Settings self = {0};
    if (!config || config->kind != OBJECT) refuse("bad-config-value", "the configuration is not an object");
    char *backend = folded(member(config, "backend"), "backend");
    char *method = is(backend, "llm-awq") ? "awq" : method_of(config);
    self.awq = is(method, "awq");
    if (!self.awq && !is(method, "gptq")) refuse("unsupported-method", "quant_method %s is not decoded", method);

    int64_t bits = whole(setting(config, "bits", "w_bit", "wbits"), "bits", self.awq ? 4 : INT64_MIN);
    if (bits == INT64_MIN) refuse("bad-config-value", "bits is missing");
    Json *group_size = setting(config, "group_size", "q_group_size", "groupsize");
    self.group_size = whole(group_size, "group_size", self.awq ? 128 : -1);
    if (self.group_size < -1 || !self.group_size) refuse("bad-config-value", "group_size is neither -1 nor positive");

    char *label = folded(member(config, "format"), "format");
    char *older = folded(member(config, "checkpoint_format"), "checkpoint_format");
    if (self.awq) {
        char *version = folded(member(config, "version"), "version");
        char *layout = version ? version : label ? label : older ? older : "gemm";
        if (is(backend, "llm-awq")) layout = backend;
        if (!is(layout, "gemm")) refuse("unsupported-layout", "AWQ layout %s is not decoded", layout);
    } else {
        if (label && older && strcmp(label, older))
            refuse("config-contradiction", "format and checkpoint_format disagree");
        char *layout = label ? label : older ? older : "gptq";
        if (stated(config, "is_marlin_format", true)) layout = "marlin";
        self.symmetric = !stated(config, "sym", false);
        self.version_2 = is(layout, "gptq-v2");
        if (!is(layout, "gptq") && !self.version_2)
            refuse("unsupported-layout", "GPTQ layout %s is not decoded", layout);
        self.lost_order = stated(config, "desc_act", true) && !stated(config, "static_groups", true);
    }
    if (bits != 4 && (self.awq || (bits != 2 && bits != 3 && bits != 8)))
        refuse("unsupported-bits", "%lld bits are not decoded", (long long)bits);
    self.bits = (int)bits;
    if (!self.awq && !self.symmetric && !self.version_2) self.subtracted = by_subtraction(config, self.bits);
    return self;
}

/* ---- The module -------------------------------------------------------------------------------------------------- */

typedef struct {
    const Tensor *qweight, *qzeros, *scales, *g_idx;
    uint64_t in, out, groups, size; /* size of a group */
} Module;

/* AWQ's packer puts columns 0, 2, 4, 6, 1, 3, 5, 7 of each eight into nibbles 0 to 7; this is the inverse. */
static const int NIBBLE_OF_COLUMN[8] = {0, 4, 1, 5, 2, 6, 3, 7};

static void shape_is(const Tensor *tensor, uint64_t rows, uint64_t columns) {
    if (tensor->axes != 2 || tensor->shape[0] != rows || tensor->shape[1] != columns)
        refuse("bad-shape", "%s is not [%llu, %llu]", tensor->name, (unsigned long long)rows,
               (unsigned long long)columns);
}

static void words(const Tensor *tensor) {
    if (!is(tensor->dtype, "I32")) refuse("bad-dtype", "%s is %s, expected I32", tensor->name, tensor->dtype);
    if (tensor->axes != 2 || !tensor->count) refuse("bad-shape", "%s needs two axes, none empty", tensor->name);
}

static uint64_t filled(uint64_t fields, int bits) { return (fields * (uint64_t)bits + 31) / 32; }

/* As the file has it: not checked. */
static int64_t group_of(const Module *m, uint64_t i) {
    return m->g_idx ? (int32_t)(uint32_t)element(m->g_idx, i) : (int64_t)(i / m->size);
}

static Module module_of(const Settings *settings, const Tensor *tensors) {
    Module m = {0};
    for (const Tensor *t = tensors; t; t = t->next) {
        if (is(t->name, "qweight")) m.qweight = t;
        else if (is(t->name, "qzeros")) m.qzeros = t;
        else if (is(t->name, "scales")) m.scales = t;
        else if (is(t->name, "g_idx") && !settings->awq) m.g_idx = t;
        else if (!is(t->name, "bias")) refuse("unexpected-tensor", "%s is no tensor of this format", t->name);
    }
    if (!m.qweight) refuse("missing-tensor", "qweight is missing");
    if (!m.scales) refuse("missing-tensor", "scales is missing");
    if (!m.qzeros && !settings->symmetric) refuse("missing-tensor", "qzeros is missing");
    words(m.qweight);

    uint64_t rows = m.qweight->shape[0], columns = m.qweight->shape[1], size = (uint64_t)settings->group_size;
    m.in = settings->awq ? rows : rows * 32 / (uint64_t)settings->bits;
    m.out = settings->awq ? columns * 8 : columns;
    if (m.g_idx) {
        if (!is(m.g_idx->dtype, "I32")) refuse("bad-dtype", "g_idx is %s, expected I32", m.g_idx->dtype);
        if (m.g_idx->axes != 1) refuse("bad-shape", "g_idx has not one axis");
        /* Where the last word is not full, g_idx knows best how many inputs there are. */
        m.in = m.g_idx->count;
    } else if (!settings->awq && settings->group_size != -1 && m.scales->axes == 2 &&
               m.scales->shape[0] <= m.in / size) {
        m.in = m.scales->shape[0] * size; /* what is beyond all groups can only fill up the last word */
    }
    if (!settings->awq && filled(m.in, settings->bits) != rows)
        refuse("bad-shape", "qweight has %llu rows of words, which %llu inputs do not fill", (unsigned long long)rows,
               (unsigned long long)m.in);
    m.size = settings->group_size == -1 ? m.in : (uint64_t)settings->group_size;
    m.groups = m.in / m.size + (m.in % m.size != 0);
    if (settings->awq && m.in % m.size) refuse("bad-shape", "the group size does not divide the inputs");
    if (!m.scales->type || !m.scales->type->exponent_bits)
        refuse("unsupported-dtype", "scales are %s, expected F16, BF16 or F32", m.scales->dtype);
    shape_is(m.scales, m.groups, m.out);
    for (uint64_t i = 0; i < m.scales->count; i++)
        if ((element(m.scales, i) & infinity(m.scales->type)) == infinity(m.scales->type))
            refuse("non-finite-scales", "scales hold a NaN or an infinity");
    if (m.qzeros) {
        words(m.qzeros);
        shape_is(m.qzeros, m.groups, filled(m.out, settings->bits));
    }
    if (!m.g_idx && settings->lost_order && m.groups > 1)
        refuse("missing-tensor", "desc_act without g_idx: nobody knows the group of an input");
    for (uint64_t i = 0; m.g_idx && i < m.in; i++)
        if (group_of(&m, i) < 0 || group_of(&m, i) >= (int64_t)m.groups)
            refuse("group-index-out-of-range", "g_idx names a group that does not exist");
    return m;
}

/* Words of a tensor one after another: down a column, or along a row. Something may be added to each of them. */
typedef struct {
    const Tensor *tensor;
    uint64_t start, step;
    const uint32_t *added; /* by the number of the word modulo 3; NULL for nothing */
} Line;

static uint32_t word(const Line *line, uint64_t number) {
    uint32_t found = (uint32_t)element(line->tensor, line->start + number * line->step);
    return line->added ? found + line->added[number % 3] : found;
}

/* Fields follow one another from the lowest bit of the first word; one that meets its word's end goes on in the next. */
static uint32_t field(const Line *line, uint64_t index, int bits) {
    uint64_t at = index * (uint64_t)bits / 32;
    int shift = (int)(index * (uint64_t)bits % 32);
    uint32_t found = word(line, at) >> shift;
    if (shift + bits > 32) found |= word(line, at + 1) << (32 - shift);
    return found & ((1u << bits) - 1);
}

static Line column(const Tensor *tensor, uint64_t number) { return (Line){tensor, number, tensor->shape[1], NULL}; }
static Line row(const Tensor *tensor, uint64_t number) { return (Line){tensor, number * tensor->shape[1], 1, NULL}; }

/* Whether every stored zero point of a GPTQ module is `stored`. */
static bool all_zeros_are(const Module *m, int bits, uint32_t stored) {
    for (uint64_t g = 0; g < m->groups; g++) {
        Line zeros = row(m->qzeros, g);
        for (uint64_t o = 0; o < m->out; o++)
            if (field(&zeros, o, bits) != stored) return false;
    }
    return true;
}

/* Whether every word of zero points is what GPTQModel before 7.0 made of fours of 3 bits, see by_subtraction. */
static bool faulty_fours(const Module *m) {
    static const uint32_t words[3] = {0x00000000, 0xB6DB6DB7, 0x49249249};
    for (uint64_t g = 0; g < m->groups; g++) {
        Line zeros = row(m->qzeros, g);
        for (uint64_t i = 0; i < m->qzeros->shape[1]; i++)
            if (word(&zeros, i) != words[i % 3]) return false;
    }
    return true;
}

/* Whether all zero points are in the middle, as those of a symmetric module are, whatever is stored for them. */
static bool in_the_middle(const Settings *settings, const Module *m) {
    uint32_t middle = 1u << (settings->bits - 1);
    if (!m->qzeros) return true;
    if (!settings->symmetric) return false;
    /* What the other label stores for the middle shows that the label is wrong. */
    if (all_zeros_are(m, settings->bits, settings->version_2 ? middle - 1 : middle)) return true;
    return settings->bits == 3 && !settings->version_2 && faulty_fours(m);
}

static void dequantize(const Json *request) {
    Json *named = member(request, "dtype");
    Tensor *tensors = read_tensors(needed_text(request, "tensors"));
    Settings settings = settings_of(member(request, "config"));
    Module m = module_of(&settings, tensors);
    const Type *type = m.scales->type;
    if (named) type = type_named(needed_text(request, "dtype"));
    if (!type || !type->exponent_bits) refuse("unsupported-dtype", "the dtype asked for is not written");

    bool middle = in_the_middle(&settings, &m);
    /* Where the file holds zero points minus one, field by field. */
    uint32_t one = !settings.awq && !settings.version_2 && !settings.subtracted;
    int64_t *group = memory(m.in, sizeof *group);
    for (uint64_t i = 0; i < m.in; i++) group[i] = group_of(&m, i);
    /* An output has as many different weights a group as there are codes. */
    uint32_t codes = 1u << settings.bits, *weights = memory(m.groups * codes, sizeof *weights);
    unsigned char *data = memory(m.out * m.in, (uint64_t)type->bytes), *at = data;
    for (uint64_t o = 0; o < m.out; o++) {
        uint64_t place = settings.awq ? o / 8 * 8 + (uint64_t)NIBBLE_OF_COLUMN[o % 8] : o;
        for (uint64_t g = 0; g < m.groups; g++) {
            uint32_t zero = codes / 2, scale = (uint32_t)element(m.scales, g * m.out + o);
            if (!middle) {
                Line zeros = row(m.qzeros, g);
                zeros.added = settings.subtracted;
                zero = (field(&zeros, place, settings.bits) + one) % codes;
            }
            for (uint32_t q = 0; q < codes; q++)
                weights[g * codes + q] = product(scale, m.scales->type, (int)q - (int)zero, type);
        }
        for (uint64_t i = 0; i < m.in; i++) {
            Line line = settings.awq ? row(m.qweight, i) : column(m.qweight, o);
            uint32_t q = field(&line, settings.awq ? place : i, settings.bits);
            uint32_t bits = weights[(uint64_t)group[i] * codes + q];
            for (int byte = 0; byte < type->bytes; byte++, bits >>= 8) *at++ = (unsigned char)bits;
        }
    }
    write_weight(needed_text(request, "output"), type, m.out, m.in, data);
}

/* ---- The conversation -------------------------------------------------------------------------------------------- */

static long long seq;

static char *read_line(size_t *length) {
    size_t room = 1 << 12;
    char *line = malloc(room);
    *length = 0;
    for (int c; line && (c = getchar()) != EOF && c != '\n'; line[(*length)++] = (char)c)
        if (*length + 1 == room) line = realloc(line, room *= 2);
    if (line && feof(stdin)) {
        free(line);
        line = NULL;
    }
    return line;
}

static bool answer(const char *line, size_t length) {
    seq = -1;
    Json *request = parsed(line, length), *number = member(request, "seq"), *protocol = member(request, "protocol");
    if (number) seq = (long long)number->integer;
    const char *what = needed_text(request, "do");
    if (is(what, "stop")) return false;
    if (is(what, "info")) {
        if (!protocol || protocol->integer != 1) fail("speaks protocol 1");
        printf("{\"seq\":%lld,\"ok\":{\"protocol\":1,\"name\":\"decoder.c\",\"version\":\"1.1\","
               "\"formats\":[\"awq\",\"gptq\"],\"excludes\":[\"awq-else\"],\"backend\":\"C\"}}\n", seq);
    } else if (is(what, "dequantize")) {
        dequantize(request);
        printf("{\"seq\":%lld,\"ok\":{}}\n", seq);
    } else {
        fail("does not %s", what);
    }
    return true;
}

static void say_why(const char *manner) {
    printf("{\"seq\":%lld,\"%s\":", seq, manner);
    say_text(reason);
    if (*code) printf(",\"code\":\"%s\"", code);
    printf("}\n");
}

int main(void) {
    static bool going = true;
    static size_t length;
    static char *line;
    while (going && (line = read_line(&length))) {
        switch (setjmp(way_out)) {
            case 0: going = answer(line, length); break;
            case REFUSED: say_why("refused"); break;
            default: say_why("error");
        }
        fflush(stdout);
        forget();
        free(line);
    }
    return 0;
}
