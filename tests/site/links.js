// Follows every link and anchor of a built site: node links.js SITE
//
// The files are read where they lie, each parsed once: asked of a server, hundreds of thousands of links, most of them in
// the lists at the side of every page, took longer than anyone waited. What is elsewhere changes without us, and a build
// has no network: those addresses are counted.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { Parser } from "htmlparser2";

const site = resolve(process.argv[2]);
const ADDRESSES = ["href", "src", "data", "poster", "xlink:href"];
const NO_LINKS = new Set(["base", "meta"]);

/** Ids of a page, and what it refers to. */
function read(text) {
  const ids = new Set();
  const links = [];
  const parser = new Parser({
    onopentag(tag, attributes) {
      if (attributes.id) ids.add(attributes.id);
      if (tag === "a" && attributes.name) ids.add(attributes.name);
      if (NO_LINKS.has(tag)) return;
      for (const name of ADDRESSES) if (attributes[name] !== undefined) links.push(attributes[name]);
      for (const one of (attributes.srcset ?? "").split(",")) if (one.trim()) links.push(one.trim().split(/\s+/)[0]);
    },
  });
  parser.end(text);
  return { ids, links };
}

const files = readdirSync(site, { recursive: true }).map((name) => join(site, name));
const pages = new Map(files.filter((file) => file.endsWith(".html")).map((file) => [file, read(readFileSync(file, "utf8"))]));
const sheets = files.filter((file) => file.endsWith(".css"));
const there = new Map();
/** The file that a path means, or nothing. */
function found(path) {
  if (!there.has(path)) {
    const index = existsSync(path) && statSync(path).isDirectory() ? join(path, "index.html") : path;
    there.set(path, existsSync(index) ? index : undefined);
  }
  return there.get(path);
}

const broken = [];
let [checked, permalinks, elsewhere] = [0, 0, 0];
function follow(file, address) {
  const where = `${relative(site, file)} -> ${address}`;
  if (/^(https?:)?\/\/|^mailto:/i.test(address)) {
    elsewhere += 1;
    return;
  }
  if (/^data:/i.test(address)) return;
  let path, anchor;
  try {
    const [before, ...after] = address.split("#");
    [path, anchor] = [decodeURIComponent(before.split("?")[0]), decodeURIComponent(after.join("#"))];
  } catch {
    broken.push(`${where} (no address)`);
    return;
  }
  const target = path.startsWith("/") ? undefined : found(path ? resolve(dirname(file), path) : file);
  if (!target || relative(site, target).startsWith("..")) {
    broken.push(`${where} (no such file)`);
    return;
  }
  if (anchor && pages.has(target) && !pages.get(target).ids.has(anchor)) broken.push(`${where} (no such anchor)`);
  checked += 1;
  permalinks += relative(site, file).startsWith("case/") && Boolean(anchor);
}
for (const [file, { links }] of pages) for (const address of links) follow(file, address);
for (const file of sheets) {
  const text = readFileSync(file, "utf8");
  for (const [, address] of text.matchAll(/url\(\s*["']?([^"')]+)["']?\s*\)/g)) follow(file, address);
}

for (const line of broken.slice(0, 100)) console.log(line);
console.log(
  `${pages.size} pages: ${checked} links, ${permalinks} of them permalinks, ${elsewhere} elsewhere, ${broken.length} broken`,
);
process.exit(broken.length || checked < 1000 || permalinks < 100 ? 1 : 0);
