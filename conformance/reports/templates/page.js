"use strict";
// Everything below makes text nodes, never markup, of what a report says.
const data = JSON.parse(document.getElementById("data").textContent);
const panel = document.getElementById("panel");

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const number = (value) => value.toLocaleString("en-GB");
const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
const share = (part, whole) => {
  const percent = (100 * part) / whole;
  return percent && percent < 0.1 ? "under 0.1 %" : `${percent.toFixed(1)} %`;
};

// How many weights are how far off; of floats only, as nothing else has ulps.
function histogram(ulps, weights, wrong) {
  const bars = data.classes.filter(([name]) => ulps[name]).map(([name, words]) => [words, ulps[name], ""]);
  const right = ["equal bits", weights - wrong, "right"];
  const most = Math.max(right[1], ...bars.map((bar) => bar[1]));
  const body = make("tbody", {});
  for (const [words, value, kind] of [right, ...bars]) {
    const bar = make("i", {});
    bar.style.width = value ? `${(100 * value) / most}%` : "0";
    if (!value) bar.style.minWidth = "0";
    const row = make("tr", kind ? { class: kind } : {}, make("th", { scope: "row" }, words));
    row.append(make("td", { class: "number" }, number(value)), make("td", { class: "track", "aria-hidden": "true" }, bar));
    body.append(row);
  }
  const caption = make("caption", {}, "Distance of the weights from those due, in units in the last place");
  return make("table", { class: "ulps" }, caption, body);
}

function facts(pairs) {
  const list = make("dl", { class: "facts" });
  for (const [name, value] of pairs) list.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  return list;
}

// As Python's shlex.quote, which quoted the rest of the command.
function quoted(id) {
  return /^[\w@%+=:,./-]+$/.test(id) ? id : `'${id.replaceAll("'", `'"'"'`)}'`;
}

function kindOf(word) {
  return word === "pass" ? "good" : word === "refused" ? "refused" : "bad";
}

// One case; what it says is made when it is opened.
function caseOf(report, place, selected) {
  const [id, level, claim, flags] = data.cases[place];
  const word = data.words[report.letters[place]];
  const details = report.details[place];
  const weights = report.weights[place] || 0;
  const wrong = details.wrong || 0;
  const brief = wrong ? `${number(wrong)} of ${count(weights, "weight")} wrong` : "";
  const summary = make("summary", {}, make("span", { class: `word ${kindOf(word)}` }, word), id, " ");
  summary.append(make("span", { class: "brief" }, brief));
  const node = make("details", { "data-id": id }, summary);
  const fill = () => {
    if (node.childElementCount > 1) return;
    const body = make("div", { class: "body" }, make("p", {}, details.why || ""));
    const pairs = [["level", data.titles[level] || level], ["claim", claim]];
    pairs.push(["flags", flags.map((flag) => data.flags[flag]).join(", ")]);
    if (weights) pairs.push(["weights", `${number(wrong)} of ${number(weights)} wrong (${share(wrong, weights)})`]);
    if (details.steps) pairs.push(["off by", details.steps]);
    if (report.notes[place]) pairs.push(["note", report.notes[place]]);
    body.append(facts(pairs));
    if (details.ulps) body.append(histogram(details.ulps, weights, wrong));
    if (details.apart) body.append(make("h3", {}, "The first wrong weight"), make("pre", {}, details.apart.join("\n")));
    body.append(make("h3", {}, "Reproduce"), make("pre", { tabindex: "0" }, report.command.replace("CASE", () => quoted(id))));
    const link = new URLSearchParams(selected);
    link.set("case", id);
    body.append(make("a", { href: `#${link}` }, "Link to this case"));
    node.append(body);
  };
  node.addEventListener("toggle", () => node.open && fill());
  if (selected.get("case") === id) {
    fill();
    node.open = true;
  }
  return node;
}

function passing(report, places, open) {
  const list = make("ul", { class: "ids" });
  for (const place of places) {
    const note = report.notes[place] ? `: ${report.notes[place]}` : "";
    list.append(make("li", { "data-id": data.cases[place][0] }, data.cases[place][0] + note));
  }
  const summary = make("summary", {}, make("span", { class: "word good" }, "pass"), count(places.length, "case"));
  const node = make("details", { class: "passing" }, summary, make("div", { class: "body" }, list));
  node.open = open;
  return node;
}

// All the cases of a cell together: what differs is added up.
function overview(report, places) {
  const ulps = {};
  let weights = 0;
  let wrong = 0;
  for (const place of places) {
    const details = report.details[place] || {};
    if (details.wrong && !details.ulps) continue;
    weights += report.weights[place] || 0;
    wrong += details.wrong || 0;
    for (const [name, value] of Object.entries(details.ulps || {})) ulps[name] = (ulps[name] || 0) + value;
  }
  return wrong ? [histogram(ulps, weights, wrong)] : [];
}

function filterOf(list) {
  const input = make("input", { type: "search", autocomplete: "off" });
  input.addEventListener("input", () => {
    for (const node of list.querySelectorAll("[data-id]")) node.hidden = !node.dataset.id.includes(input.value.trim());
  });
  return make("label", {}, "Only cases whose id contains", input);
}

function show() {
  const selected = new URLSearchParams(location.hash.slice(1));
  for (const cell of document.querySelectorAll("td[aria-current]")) cell.removeAttribute("aria-current");
  const report = data.reports.find((known) => known.slug === selected.get("loader"));
  const [format, variant, claim] = ["format", "variant", "claim"].map((name) => selected.get(name));
  const column = data.columns.findIndex((known) => known[0] === format && known[1] === variant);
  panel.hidden = !report || column < 0 || !(claim in data.rows);
  if (panel.hidden) return;
  const wanted = data.rows[claim];
  const places = data.cases.map((known, place) => place).filter(
    (place) => report.letters[place] !== " " && wanted.includes(data.cases[place][2]) && data.held[place].includes(column));
  const passed = places.filter((place) => data.words[report.letters[place]] === "pass");
  const rest = places.filter((place) => !passed.includes(place));
  rest.sort((a, b) => (report.letters[a] === "r") - (report.letters[b] === "r"));
  const title = `${report.name}: ${data.formats[format]}, ${data.columns[column][2]}`;
  const heading = make("h2", { tabindex: "-1" }, title);
  const counts = Object.values(data.words)
    .map((word) => [places.filter((place) => data.words[report.letters[place]] === word).length, word])
    .filter(([found]) => found).map(([found, word]) => `${number(found)} ${word}`).join(", ");
  const list = make("div", {}, ...rest.map((place) => caseOf(report, place, selected)));
  if (passed.length) list.append(passing(report, passed, !rest.length));
  panel.replaceChildren(
    heading,
    make("p", {}, `Claim ${claim} (${data.meaning[claim]}). ${count(places.length, "case")}: ${counts}.`),
    ...overview(report, places),
    make("p", {}, filterOf(list)),
    list,
  );
  for (const link of document.querySelectorAll(".matrix a")) {
    const own = new URLSearchParams(link.getAttribute("href").slice(1));
    if (["loader", "format", "variant", "claim"].every((name) => own.get(name) === selected.get(name)))
      link.parentElement.setAttribute("aria-current", "true");
  }
  const opened = list.querySelector("details[open]:not(.passing)");
  (opened || panel).scrollIntoView({ block: "start" });
  (opened ? opened.firstElementChild : heading).focus({ preventScroll: true });
}

addEventListener("hashchange", show);
show();
