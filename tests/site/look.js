// Looks at a built site as people do: node look.js SITE [PICTURES]
//
// At three widths, by day and by night, with script and without. A page must have no fault that axe-core knows, must not
// be wider than the window, and must say without script what it says with it. Looked at are some pages of every kind,
// the largest among them; EACH=100 looks at more, ONLY=case/ at some alone.
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, relative, resolve, sep } from "node:path";
import puppeteer from "puppeteer-core";

const EACH = Number(process.env.EACH ?? 2);
const LARGE = 200_000;
const WIDTHS = [360, 768, 1280];
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
const [site, pictures] = process.argv.slice(2).map((path) => resolve(path));
const chrome = [process.env.CHROME, "/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chromium-browser"].find(
  (path) => path && existsSync(path),
);
if (!chrome) throw new Error("no Chromium; name one with CHROME");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const files = readdirSync(site, { recursive: true })
  .filter((name) => name.endsWith(".html"))
  .map((name) => name.split(sep).join("/"))
  .sort();
/** Of those under a folder the largest and the first ones. */
function some(folder, count) {
  const own = files.filter((name) => name.startsWith(folder));
  const size = (name) => statSync(join(site, name)).size;
  return [...new Set([own.toSorted((a, b) => size(b) - size(a))[0], ...own.slice(0, count)])].filter(Boolean);
}
const pages = [
  ...new Set([
    ...files.filter((name) => !name.includes("/")),
    ...["loaders", "formats", "causes", "cases", "survey"].map((folder) => `${folder}/index.html`).filter((name) => files.includes(name)),
    ...["loaders/", "formats/", "causes/", "cases/"].flatMap((folder) => some(folder, EACH)),
    ...["docs/", "survey/", "examples/", "case/"].flatMap((folder) => some(folder, 1)),
  ]),
].filter((name) => name.startsWith(process.env.ONLY ?? ""));

const server = createServer((request, response) => {
  const path = resolve(site, `.${decodeURIComponent(new URL(request.url, "http://localhost").pathname)}`);
  if (relative(site, path).startsWith("..") || !existsSync(path) || !statSync(path).isFile()) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
  // A permalink leads away at once, under the hands of whoever looks at it: a picture of it is waited for in vain.
  if (relative(site, path).startsWith("case/")) response.end(readFileSync(path, "utf8").replace(/<meta http-equiv="refresh"[^>]*>/, ""));
  else createReadStream(path).pipe(response);
}).listen(0, "127.0.0.1");
await new Promise((done) => server.once("listening", done));
const root = `http://127.0.0.1:${server.address().port}/`;

const browser = await puppeteer.launch({ executablePath: chrome, args: ["--no-sandbox"] });
const faults = { length: 0, push(text) { console.log(text); this.length += 1; } };
let looks = 0;
const tab = await browser.newPage();
tab.on("pageerror", (error) => faults.push(`${tab.url()}: ${error.message}`));
tab.on("response", (response) => response.ok() || response.status() === 304 || faults.push(`${response.status()} ${response.url()}`));

async function shown(name, width, scheme, scripted) {
  await tab.setJavaScriptEnabled(scripted);
  await tab.setViewport({ width, height: 900 });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await tab.goto(root + name, { waitUntil: "load" });
  looks += 1;
  const where = `${name} at ${width}, ${scheme}${scripted ? "" : ", no script"}`;
  const found = await tab.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    text: document.querySelector("article, main")?.innerText.replace(/\s+/g, " ").length ?? 0,
    ground: getComputedStyle(document.body).backgroundColor,
  }));
  if (found.wide > width) faults.push(`${where}: ${found.wide} pixels wide`);
  if (pictures) {
    const file = `${name.replaceAll("/", "_")}-${width}-${scheme}${scripted ? "" : "-plain"}.png`;
    await tab.screenshot({ path: join(pictures, file) });
  }
  return { where, ...found };
}

if (pictures) mkdirSync(pictures, { recursive: true });
for (const name of pages) {
  console.error(new Date().toISOString().slice(11, 19), name);
  for (const width of WIDTHS) {
    for (const scheme of ["light", "dark"]) {
      const first = await shown(name, width, scheme, true);
      // Thousands of cells alike, each of which axe looks at for seconds.
      if (statSync(join(site, name)).size > LARGE && width !== WIDTHS[0]) continue;
      await tab.evaluate(axe);
      const { violations } = await tab.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      for (const { id, impact, nodes } of violations) {
        faults.push(`${first.where}: ${id} (${impact}), ${nodes.length} times: ${nodes[0].html.slice(0, 200)}`);
      }
    }
  }
  const plain = await shown(name, 360, "dark", false);
  // The search is the one page that is a program.
  if (plain.text < 20 && name !== "search.html") faults.push(`${plain.where}: hardly a word`);
  const light = await shown(name, 360, "light", false);
  if (plain.ground === light.ground && !name.startsWith("case/")) faults.push(`${plain.where}: not dark`);
}

// The search finds a case by a part of its id, and leads to its row.
await tab.setJavaScriptEnabled(true);
const id = JSON.parse(readFileSync(join(site, "files/cases.json"), "utf8"))[0];
await tab.goto(`${root}search.html?q=${encodeURIComponent(id)}`);
await tab.waitForSelector("#search-results li a", { timeout: 20000 }).catch(() => faults.push(`the search does not find ${id}`));
const hrefs = await tab.$$eval("#search-results li a", (found) => found.map((link) => link.href));
if (!hrefs.some((href) => href.includes("/cases/") && decodeURIComponent(href).endsWith(`#${id}`))) {
  faults.push(`the search for ${id} leads to ${hrefs.slice(0, 3)}`);
}
await browser.close();
server.close();
console.log(`${pages.length} pages, ${looks} looks, ${faults.length} faults`);
process.exit(faults.length || pages.length < (process.env.ONLY ? 1 : 20) ? 1 : 0);
