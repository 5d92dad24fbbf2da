// Follows every link and anchor of a built site: node links.js SITE
//
// Permalinks of cases are thousands of small files: those are read here, and not asked of a server one by one.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LinkChecker } from "linkinator";

const [site] = process.argv.slice(2);
const { links } = await new LinkChecker().check({
  path: site,
  recurse: true,
  checkFragments: true,
  concurrency: 10,
  // What is elsewhere changes without us, and a build has no network.
  linksToSkip: ["^https?://(?!localhost)", "^http://localhost:[0-9]+/case/"],
});
const broken = links.filter((link) => link.state === "BROKEN").map((link) => `${link.parent} -> ${link.url} (${link.status})`);

const files = readdirSync(site, { recursive: true }).filter((name) => name.endsWith(".html"));
const ids = new Map();
/** Whether a file of the site has an element of that id. */
function has(file, id) {
  if (!ids.has(file)) {
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    ids.set(file, new Set([...text.matchAll(/ id="([^"]*)"/g)].map((found) => found[1])));
  }
  return ids.get(file).has(id);
}
let permalinks = 0;
for (const name of files) {
  const inside = name.startsWith("case/");
  if (!inside && !name.startsWith("cases/")) continue;
  const text = readFileSync(join(site, name), "utf8");
  for (const [, address] of text.matchAll(/ href="((?:\.\.\/)+cases?\/[^"]*)"/g)) {
    const [path, anchor] = address.split("#").map(decodeURIComponent);
    const target = join(site, dirname(name), path);
    if (!existsSync(target) || (anchor && !has(target, anchor))) broken.push(`${name} -> ${address}`);
    permalinks += inside && Boolean(anchor);
  }
}
for (const line of broken) console.log(line);
const checked = links.filter((link) => link.state === "OK").length;
const skipped = links.filter((link) => link.state === "SKIPPED").length;
console.log(`${checked} addresses and ${permalinks} permalinks, ${skipped} not asked, ${broken.length} broken`);
process.exit(broken.length || checked < 100 || permalinks < 100 ? 1 : 0);
