// Reads an export of the conformance suite and passes it: `node read_vectors.mjs DIR`, with Node 20 and nothing else.
//
// It shares no code with the suite. It checks every size, digest and count of the manifest, decodes every module with a
// decoder of its own, loads every checkpoint folder, refuses what must be refused, and exits with 0 only if all of that
// comes out as the files say. To test another decoder, put it in the place of `decode`.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";

class Refused extends Error {
  constructor(code) { super(code); this.code = code; }
}
const refuseIf = (wrong, code) => { if (wrong) throw new Refused(code); };
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const readJson = (file) => JSON.parse(readFileSync(file, "utf8"));

// ---- safetensors: 8 bytes of header length, the header, the data ----------------------------------------------------

const ELEMENTS = {
  F16: ["float16", Uint16Array], BF16: ["bfloat16", Uint16Array], F32: ["float32", Uint32Array],
  I8: ["int8", Int8Array], F8_E4M3: ["float8_e4m3fn", Uint8Array], F8_E8M0: ["float8_e8m0fnu", Uint8Array],
  I16: ["int16", Int16Array], I32: ["int32", Int32Array], I64: ["int64", BigInt64Array],
  U8: ["uint8", Uint8Array], U32: ["uint32", Uint32Array],
};

function readSafetensors(file) {
  const data = readFileSync(file);
  refuseIf(data.length < 8, "truncated-file");
  const start = 8 + Number(data.readBigUInt64LE(0));
  refuseIf(start > data.length, "truncated-file");
  const tensors = {};
  for (const [name, entry] of Object.entries(JSON.parse(data.toString("utf8", 8, start)))) {
    if (name === "__metadata__") continue;
    const [from, to] = entry.data_offsets.map((offset) => start + offset);
    refuseIf(to > data.length, "truncated-file");
    const [dtype, Elements] = ELEMENTS[entry.dtype];
    const bytes = new Uint8Array(data.subarray(from, to)); // a copy, so that it is aligned
    tensors[name] = { dtype, shape: entry.shape, data: new Elements(bytes.buffer) };
  }
  return tensors;
}

const digest = (tensor) => sha256(new Uint8Array(tensor.data.buffer));
const facts = (tensor) => `${tensor.dtype} [${tensor.shape}]`;
const isWeight = (tensor, due) => facts(tensor) === facts(due) && digest(tensor) === due.sha256;

// ---- Numbers --------------------------------------------------------------------------------------------------------

const FLOATS = { // bits of the mantissa, exponent of the smallest normal number, the pattern of infinity
  float16: { mantissa: 10, smallest: -14, infinity: 0x7c00, sign: 0x8000 },
  bfloat16: { mantissa: 7, smallest: -126, infinity: 0x7f80, sign: 0x8000 },
  float32: { mantissa: 23, smallest: -126, infinity: 0x7f800000, sign: 0x80000000 },
};
// Looked up, because `**` takes most of the time otherwise.
const LEAST = 1022, POWERS = Float64Array.from({ length: 1200 }, (_, i) => 2 ** (i - LEAST));
const probe = new DataView(new ArrayBuffer(8));

function valueOf(bits, dtype) {
  const { mantissa, smallest, infinity, sign } = FLOATS[dtype];
  const magnitude = bits & (sign - 1), exponent = magnitude >>> mantissa;
  refuseIf(magnitude >= infinity, "non-finite-scales");
  const fraction = magnitude & (2 ** mantissa - 1);
  const whole = exponent ? fraction + 2 ** mantissa : fraction;
  const value = whole * 2 ** (Math.max(exponent, 1) - 1 + smallest - mantissa);
  return bits >= sign ? -value : value;
}

// The bits of a double rounded once, to nearest, ties to even. Counted in units in the last place, they simply add up.
function rounded(value, { mantissa, smallest, infinity, sign }) {
  probe.setFloat64(0, value);
  const high = probe.getUint32(0), exponent = Math.max(((high >>> 20) & 0x7ff) - 1023, smallest);
  const units = Math.abs(value) * POWERS[LEAST + mantissa - exponent];
  let whole = Math.floor(units);
  if (units - whole > 0.5 || (units - whole === 0.5 && whole % 2)) whole += 1;
  const bits = Math.min((exponent - smallest) * (1 << mantissa) + whole, infinity);
  return high >>> 31 ? bits + sign : bits;
}

// ---- One module -----------------------------------------------------------------------------------------------------

const lower = (value) => (typeof value === "string" ? value.toLowerCase() : value);

// The one value of a setting that has several names; null is as good as absent, and upper case as lower.
function spelled(config, names) {
  const found = names.filter((name) => config[name] != null).map((name) => lower(config[name]));
  refuseIf(new Set(found).size > 1, "config-contradiction");
  return found[0];
}
const SPELLINGS = {
  method: ["quant_method", "method"],
  bits: ["bits", "w_bit", "wbits"],
  size: ["group_size", "q_group_size", "groupsize"],
  label: ["format", "checkpoint_format"],
};
const methodOf = (config) =>
  spelled(config, SPELLINGS.method)
  ?? (config.w_bit != null || config.zero_point != null ? "awq" : config.desc_act != null ? "gptq" : "none");

function settingsOf(config) {
  const method = methodOf(config), awq = method === "awq";
  refuseIf(method !== "gptq" && !awq, "unsupported-method");
  const bits = spelled(config, SPELLINGS.bits) ?? (awq ? 4 : null);
  const size = spelled(config, SPELLINGS.size) ?? (awq ? 128 : -1);
  refuseIf(!Number.isInteger(bits) || !Number.isInteger(size) || size === 0 || size < -1, "bad-config-value");
  let label = spelled(config, SPELLINGS.label) ?? "gptq";
  if (config.is_marlin_format) label = "marlin";
  if (awq) label = /^llm-awq$/i.test(config.backend) ? "llm-awq" : String(config.version ?? "gemm").toLowerCase();
  refuseIf(!(awq ? ["gemm"] : ["gptq", "gptq_v2"]).includes(label), "unsupported-layout");
  refuseIf(!(awq ? [4] : [2, 3, 4, 8]).includes(bits), "unsupported-bits");
  return { awq, bits, size, label, sym: config.sym !== false }; // GPTQ that does not say is symmetric
}

const needShape = (tensor, ...shape) => refuseIf(String(tensor.shape) !== String(shape), "bad-shape");
function needWords(tensor) {
  refuseIf(tensor.dtype !== "int32", "bad-dtype");
  refuseIf(tensor.shape.length !== 2 || tensor.shape.includes(0), "bad-shape");
}

// A field of a little-endian stream of them, in the words at `start`, `start + stride`, ...; it may lie in two words.
function field(words, start, stride, bits, index) {
  const word = start + ((bits * index) >> 5) * stride, place = (bits * index) & 31;
  const low = words[word] >>> place;
  return (place + bits > 32 ? low | (words[word + stride] << (32 - place)) : low) & ((1 << bits) - 1);
}

// Stored fields [rows, count] of words [rows, columns], packed along the rows.
const fields = (words, columns, count, bits) => Uint8Array.from(
  { length: (words.length / columns) * count },
  (_, i) => field(words, Math.floor(i / count) * columns, 1, bits, i % count));

// What GPTQModel before 7.0 took off the words of 3-bit zero points, and what it left of zero points of 4.
const SWAPPED = [0x24924924, 0x92492492, 0x49249249], FOURS = [0, 0xb6db6db7, 0x49249249];

function gptqZeros(config, { bits, label, sym }, qzeros, out) {
  const middle = 1 << (bits - 1), limit = 1 << bits, columns = qzeros.shape[1], words = qzeros.data;
  const v1 = label === "gptq";
  const quantizer = String(config.meta?.quantizer ?? "");
  const [major, minor] = (quantizer.match(/\d+/g) ?? []).map(Number);
  const byWord = quantizer.includes("gptqmodel") && v1 && !sym && (major > 0 || minor >= 9);
  if (byWord && (bits !== 3 || major < 7)) {
    // Undoing a borrow needs the carries of the whole word.
    const ones = 0xffffffff / (limit - 1);
    return fields(words.map((word, i) => word + (bits === 3 ? SWAPPED[(i % columns) % 3] : ones)), columns, out, bits);
  }
  const swapped = sym && v1 && bits === 3 && words.every((word, i) => word >>> 0 === FOURS[(i % columns) % 3]);
  const stored = fields(words, columns, out, bits);
  // A symmetric file outranks its label; otherwise a field of version 1 is one less than its zero point, modulo.
  if (swapped || (sym && stored.every((zero) => zero === (v1 ? middle : middle - 1)))) return stored.fill(middle);
  return stored.map((zero) => (zero + (v1 ? 1 : 0)) & (limit - 1));
}

// Natural column j of each eight is nibble COLUMN[j] of an AWQ word.
const COLUMN = [0, 4, 1, 5, 2, 6, 3, 7];

function decode(config, tensors, dtype) {
  const settings = settingsOf(config), { awq, bits, sym } = settings;
  const required = ["qweight", "scales", ...(awq || !sym ? ["qzeros"] : [])];
  refuseIf(required.some((name) => !(name in tensors)), "missing-tensor");
  const known = ["qweight", "qzeros", "scales", "bias", ...(awq ? [] : ["g_idx"])];
  refuseIf(Object.keys(tensors).some((name) => !known.includes(name)), "unexpected-tensor");
  const { qweight, qzeros, scales, g_idx: map } = tensors;
  for (const words of [qweight, qzeros, ...(map ? [{ ...map, shape: [1, 1] }] : [])]) if (words) needWords(words);
  const [rows, columns] = qweight.shape, out = awq ? 8 * columns : columns;
  refuseIf(scales.shape.length !== 2 || (map && map.shape.length !== 1), "bad-shape");
  // The last word may be filled up. Where no map counts the inputs, what lies beyond all groups is filling.
  const room = settings.size === -1 ? Infinity : scales.shape[0] * settings.size;
  const inputs = awq ? rows : map ? map.shape[0] : Math.min(Math.floor((32 * rows) / bits), room);
  refuseIf(!awq && Math.ceil((inputs * bits) / 32) !== rows, "bad-shape");
  const size = settings.size === -1 ? inputs : settings.size, groups = Math.ceil(inputs / size);
  refuseIf(!(scales.dtype in FLOATS), "unsupported-dtype");
  refuseIf(awq && inputs % size !== 0, "bad-shape");
  needShape(scales, groups, out);
  if (qzeros) needShape(qzeros, groups, Math.ceil((out * bits) / 32));
  const lost = !awq && !map && config.desc_act && !config.static_groups && groups > 1;
  refuseIf(lost, "missing-tensor");
  if (map) refuseIf(map.data.some((group) => group < 0 || group >= groups), "group-index-out-of-range");
  const values = Array.from(scales.data, (bits) => valueOf(bits, scales.dtype));
  const zeros = !qzeros ? new Uint8Array(groups * out).fill(1 << (bits - 1))
    : awq ? fields(qzeros.data, columns, out, bits) : gptqZeros(config, settings, qzeros, out);
  const result = dtype ?? scales.dtype, kind = FLOATS[result];
  const data = new (result === "float32" ? Uint32Array : Uint16Array)(out * inputs);
  for (let o = 0; o < out; o++) {
    const place = awq ? (o & ~7) + COLUMN[o & 7] : o; // among the fields of a row
    for (let i = 0; i < inputs; i++) {
      const group = map ? map.data[i] : Math.floor(i / size);
      const code = awq
        ? field(qweight.data, i * columns, 1, bits, place)
        : field(qweight.data, o, columns, bits, i);
      data[o * inputs + i] = rounded(values[group * out + o] * (code - zeros[group * out + place]), kind);
    }
  }
  return { dtype: result, shape: [out, inputs], data };
}

// ---- One checkpoint -------------------------------------------------------------------------------------------------

function checkpointSettings(folder, config) {
  const files = ["quantize_config.json", "quant_config.json"].map((name) => join(folder, name)).filter(existsSync);
  const found = [config.quantization_config, config.text_config?.quantization_config, ...files.map(readJson)];
  const given = found.filter((settings) => settings != null);
  for (const names of [["quant_method"], ["bits", "w_bit"], ["group_size", "q_group_size"], ["sym"], ["desc_act"]]) {
    const said = given.map((settings) => spelled(settings, names)).filter((value) => value != null);
    refuseIf(new Set(said).size > 1, "config-contradiction");
  }
  return given[0];
}

function storedTensors(folder) {
  const names = readdirSync(folder), index = names.find((name) => name.endsWith(".safetensors.index.json"));
  if (!index) {
    const files = names.filter((name) => name.endsWith(".safetensors"));
    refuseIf(!files.length && names.some((name) => name.endsWith(".bin")), "unsafe-weights");
    refuseIf(files.length !== 1, "missing-file");
    return readSafetensors(join(folder, files[0]));
  }
  const placed = readJson(join(folder, index)).weight_map, tensors = {};
  for (const file of new Set(Object.values(placed))) {
    refuseIf(basename(file) !== file, "unsafe-path");
    refuseIf(!names.includes(file), "missing-file");
    for (const [name, tensor] of Object.entries(readSafetensors(join(folder, file)))) {
      refuseIf(placed[name] !== file, "stale-index");
      tensors[name] = tensor;
    }
  }
  refuseIf(Object.keys(placed).some((name) => !(name in tensors)), "stale-index");
  return tensors;
}

// Other values, under whichever of its names either of the two has a setting.
function overridden(settings, own) {
  const given = Object.keys(own).filter((name) => own[name] != null);
  const names = given.flatMap((name) => Object.values(SPELLINGS).find((known) => known.includes(name)) ?? [name]);
  const kept = Object.entries(settings).filter(([name]) => !names.includes(name));
  return { ...Object.fromEntries(kept), ...Object.fromEntries(given.map((name) => [name, own[name]])) };
}

// Rules of GPTQModel: the first pattern that matches from the start of the name decides.
function ruled(settings, module) {
  for (const [rule, own] of Object.entries(settings.dynamic ?? {}))
    if (new RegExp(`^(?:${rule.replace(/^[-+]:/, "")})`).test(module))
      return rule.startsWith("-:") ? settings : overridden(settings, own ?? {});
  return settings;
}

function load(folder) {
  const config = readJson(join(folder, "config.json")), settings = checkpointSettings(folder, config);
  settingsOf(settings);
  const weights = storedTensors(folder);
  const packed = Object.keys(weights).filter((name) => name.endsWith(".qweight")).map((name) => name.slice(0, -8));
  refuseIf(!packed.length, "missing-tensor");
  const biased = config.model_type === "qwen2" ? /[qkv]_proj$/ : /$^/;
  for (const module of packed) {
    const own = {};
    for (const leaf of ["qweight", "qzeros", "scales", "g_idx"]) {
      const name = `${module}.${leaf}`;
      if (name in weights) own[leaf] = weights[name];
      delete weights[name];
    }
    weights[`${module}.weight`] = decode(ruled(settings, module), own, null);
    const bias = weights[`${module}.bias`];
    if (!bias || biased.test(module)) continue;
    refuseIf(bias.data.some((bits) => valueOf(bits, bias.dtype) !== 0), "unsupported-bias");
    delete weights[`${module}.bias`];
  }
  return weights;
}

// ---- The export -----------------------------------------------------------------------------------------------------

const complaints = [];
const check = (sound, complaint) => { if (!sound) complaints.push(complaint); };
const none = () => ({ tests: 0, valid: 0, refused: 0, either: 0 });
const counts = none(), levels = {}, declined = { due: 0, all: 0, sameCode: 0 };
let decoded = 0;

function attempt(work) {
  try { return work(); } catch (error) { return error; } // what is no refusal is a crash, and never right
}

function judgeRefusal(id, outcome, due, otherwise) {
  declined.due += 1;
  if (!(outcome instanceof Refused)) return check(otherwise(), `${id}: not refused (${outcome.message ?? "decoded"})`);
  declined.all += 1;
  declined.sameCode += outcome.code === due.code;
}

function judgeModule(test, stored) {
  const inputs = {};
  for (const [name, input] of Object.entries(test.inputs)) {
    inputs[name] = stored[input.key];
    check(facts(inputs[name]) === facts(input), `${test.id}: ${name} is not ${facts(input)}`);
  }
  const outcome = attempt(() => decode(test.config, inputs, test.dtype));
  const dues = [test.expected, ...(test.refusal?.readings ?? [])].filter((due) => due?.key);
  for (const due of dues) check(isWeight(stored[due.key], due), `${due.key}: not what its digest says`);
  const right = (due) => {
    if (outcome instanceof Error || !isWeight(outcome, due)) return false;
    return !due.key || outcome.data.every((bits, place) => bits === stored[due.key].data[place]);
  };
  if (test.result === "refused") {
    return judgeRefusal(test.id, outcome, test.refusal, () => test.refusal.readings.some(right));
  }
  check(right(test.expected), `${test.id}: ${outcome instanceof Error ? outcome : "other bits"}`);
  decoded += outcome.data?.length ?? 0;
}

function judgeCheckpoint(test, root) {
  const outcome = attempt(() => load(join(root, test.folder)));
  const right = () => !(outcome instanceof Error)
    && Object.keys(outcome).every((name) => name in test.weights && isWeight(outcome[name], test.weights[name]))
    && Object.entries(test.weights).every(([name, due]) => name in outcome || !due.required);
  if (test.result !== "valid") {
    return judgeRefusal(test.id, outcome, test.refusal, () => test.result === "either" && right());
  }
  check(right(), `${test.id}: ${outcome instanceof Error ? outcome : "other weights"}`);
}

// What `decode` knows: of all the rest the sizes, digests and counts are checked. A test carries the name of each format
// and each dialect that it takes.
const READ = ["gptq", "awq"], OTHERS = ["auto-round", "compressed-tensors", "awq-else"];
const unread = {};

function reads({ flags }, slug, slugs) {
  return READ.includes(slug)
    && !flags.some((flag) => OTHERS.includes(flag) || (slugs.has(flag) && !READ.includes(flag)));
}

function main(root) {
  const manifest = readJson(join(root, "manifest.json")), ids = new Set();
  const listed = new Set(["manifest.json", ...manifest.files.map((entry) => entry.path)]);
  for (const entry of readdirSync(root, { recursive: true })) {
    const path = entry.split("\\").join("/");
    if (statSync(join(root, entry)).isFile()) check(listed.has(path), `${path}: not in the manifest`);
  }
  check(manifest.bytes === manifest.files.reduce((sum, file) => sum + file.bytes, 0), "the manifest's bytes are wrong");
  const slugs = new Set(manifest.files.map((file) => file.format));
  for (const file of manifest.files) {
    const data = readFileSync(join(root, file.path));
    check(data.length === file.bytes && sha256(data) === file.sha256, `${file.path}: not the file of the manifest`);
    if (!file.tests) continue;
    const document = JSON.parse(data.toString("utf8"));
    check(document.tests.length === file.tests && document.numberOfTests === file.tests, `${file.path}: wrong count`);
    check(document.suite === manifest.suite, `${file.path}: of another suite`);
    const stored = document.tensors ? readSafetensors(join(root, document.tensors)) : {};
    for (const test of document.tests) {
      check(!ids.has(test.id), `${test.id}: twice`);
      ids.add(test.id);
      for (const count of [counts, levels[file.level] ??= none()]) {
        count.tests += 1;
        count[test.result] += 1;
      }
      for (const flag of test.flags) check(flag in document.notes, `${test.id}: the flag ${flag} has no note`);
      const slug = test.format ?? document.format;
      if (!reads(test, slug, slugs)) unread[slug] = (unread[slug] ?? 0) + 1;
      else if (file.level === "checkpoints") judgeCheckpoint(test, root);
      else judgeModule(test, stored);
    }
  }
  const claimed = { ...manifest, ...manifest.levels };
  for (const [name, count] of Object.entries({ ...counts, ...levels })) {
    check(isDeepStrictEqual(claimed[name], count), `the manifest has another count of ${name}`);
  }
  check(counts.tests > 0, "no tests");
  for (const complaint of complaints.slice(0, 20)) console.log(`WRONG  ${complaint}`);
  const left = Object.values(unread).reduce((sum, count) => sum + count, 0);
  const size = `${manifest.files.length} files, ${counts.tests} tests, ${counts.valid} of them to be read`;
  console.log(`suite ${manifest.suite}: ${size}, ${left} left out, which this program does not read: `
    + Object.entries(unread).map(([slug, count]) => `${slug} ${count}`).join(", "));
  for (const [level, count] of Object.entries(manifest.generated)) {
    console.log(`${level}: ${count} tests are generated, and in no export`);
  }
  console.log(`${decoded} weights of modules decoded; ${declined.all} of ${declined.due} refusals refused, `
    + `${declined.sameCode} with the same code`);
  console.log(complaints.length ? `${complaints.length} complaints` : "all as the export says");
  return complaints.length ? 1 : 0;
}

if (process.argv.length !== 3) {
  console.error("usage: node read_vectors.mjs DIR");
  process.exit(2);
}
process.exit(main(process.argv[2]));
