// The page: asks the service, shows what it answers. Text from anywhere enters the document as text, never as HTML.

import { marked, underline } from "./teach/spans.js";

const HUES = 10;
const PASSING = new Set([0, 408, 429, 503, 504]);

const at = (id) => document.getElementById(id);

// What was last answered, and the request that is under way.
let shown = null;
let asking = null;
let described = null;

// Labels of the chosen domain or those typed, whose places are their colours.
let labels = [];

// Whether there are domains to choose from, and whether labels are to be typed all the same.
let published = false;
let typing = false;

class Problem extends Error {
  constructor(status, title, detail) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

/** The JSON that the service answers; throws a Problem. */
async function call(path, { body, signal } = {}) {
  const headers = body ? { "content-type": "application/json" } : {};
  if (at("key").value) headers.authorization = `Bearer ${at("key").value}`;
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error instanceof TypeError) throw new Problem(0, "The service cannot be reached", "is it running?");
    throw error;
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  const wait = answer.headers.get("retry-after");
  const detail = `${content.detail ?? "the answer says no more"}${wait ? ` (in ${wait} s)` : ""}`;
  throw new Problem(answer.status, content.title ?? `Status ${answer.status}`, detail);
}

/** Ask for the domains and show the form, or why there is none. */
async function loadDomains() {
  tell("Looking for domains");
  let domains;
  try {
    ({ domains } = await call("v1/domains"));
  } catch (error) {
    hide("ask", "none", "result");
    return fail(error, loadDomains);
  }
  quiet();
  hide("key-form");
  published = domains.length > 0;
  at("none").hidden = published;
  at("back").hidden = !published;
  at("ask").hidden = false;
  const before = at("domain").value;
  at("domain").replaceChildren(...domains.map((name) => new Option(name, name, false, name === before)));
  await change();
}

/** Show the field for a domain or that for labels, and nothing of what was found by the other. */
async function change() {
  const byLabels = typing || !published;
  at("by-domain").hidden = byLabels;
  at("by-labels").hidden = !byLabels;
  shown = null;
  asking?.abort();
  described?.abort();
  hide("result");
  quiet();
  if (!byLabels) await describe();
}

/** Say what the chosen domain finds. */
async function describe() {
  const domain = at("domain").value;
  described = new AbortController();
  labels = [];
  at("about").replaceChildren("…");
  try {
    const { card, prompt_version: version } = await call(`v1/domains/${encodeURIComponent(domain)}`, { signal: described.signal });
    labels = card.labels;
    const tags = labels.flatMap((label) => [tag(label), " "]);
    at("about").replaceChildren("Finds ", ...tags, `· version ${version}`);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) return fail(error);
    at("about").replaceChildren(`This domain cannot be used now: ${error.message}`);
  }
}

/** What is asked for a text: the path, and the body without the threshold; throws a Problem where labels are amiss. */
function question(text) {
  if (typing || !published) return { path: "v1/entities", body: { items: [{ labels: typed(), text }] } };
  return { path: `v1/domains/${encodeURIComponent(at("domain").value)}/entities`, body: { texts: [text] } };
}

/** The labels as the service takes them: names between commas or on lines, each with words after a colon or null. */
function typed() {
  const found = new Map();
  for (const part of wellFormed(at("labels").value).split(/[,\n]/)) {
    const [name, ...words] = part.split(":");
    if (part.trim() === "") continue;
    if (name.trim() === "") throw new Problem(null, "A label has no name", `before the colon in ${part.trim()}`);
    if (found.has(name.trim())) throw new Problem(null, "A label is there twice", name.trim());
    found.set(name.trim(), words.join(":").trim() || null);
  }
  if (found.size === 0) throw new Problem(null, "There are no labels yet", "type names, such as: person, city");
  labels = [...found.keys()];
  return Object.fromEntries(found);
}

// Half a surrogate pair is no character, and no JSON that the service reads.
const wellFormed = (text) => text.toWellFormed?.() ?? text;

/** Ask for the entities of the text. */
async function find() {
  const text = wellFormed(at("text").value);
  let asked;
  try {
    asked = question(text);
  } catch (problem) {
    hide("result");
    at("labels").focus();
    return tell(problem.title, problem.message);
  }
  if (text.trim() === "") {
    hide("result");
    at("text").focus();
    return tell("There is no text yet", "paste one and ask again");
  }
  asking?.abort();
  const own = (asking = new AbortController());
  at("find").setAttribute("aria-busy", "true");
  quiet();
  const began = performance.now();
  try {
    const answer = await call(asked.path, { body: JSON.stringify(asked.body), signal: own.signal });
    const { problem } = answer.results[0];
    if (problem) throw new Problem(problem.status, problem.title, problem.detail);
    shown = { ...asked, text, answer, took: Math.round(performance.now() - began) };
    show();
    at("result-title").focus({ preventScroll: true });
  } catch (error) {
    if (error.name === "AbortError") return;
    hide("result");
    fail(error, find);
  } finally {
    if (asking === own) at("find").removeAttribute("aria-busy");
  }
}

/** Show what was answered, as far as it reaches the threshold. */
function show() {
  const threshold = Number(at("threshold").value);
  at("threshold-value").textContent = threshold.toFixed(2);
  if (shown === null) return;
  const [result] = shown.answer.results;
  const kept = result.entities.filter((entity) => entity.score >= threshold);
  at("marked").replaceChildren(...marked(shown.text, kept, markOf));
  at("rows").replaceChildren(...kept.map(row));
  at("table").hidden = kept.length === 0;
  const hidden = result.entities.length - kept.length;
  const parts = [kept.length === 1 ? "1 entity" : `${kept.length === 0 ? "no" : kept.length} entities`];
  if (hidden > 0) parts.push(`${hidden} below the minimum`);
  if (result.windows > 1) parts.push(`read in ${result.windows} windows`);
  if (shown.answer.prompt_version) parts.push(`version ${shown.answer.prompt_version}`);
  parts.push(`${shown.took} ms`);
  at("summary").textContent = parts.join(" · ");
  at("result").hidden = false;
}

/** A mark of an entity around what is within it. */
function markOf(content, entity) {
  const mark = underline(element("mark", { dir: "auto" }, ...content));
  mark.dataset.hue = hue(entity.label);
  mark.append(
    element("bdi", { className: "label" }, entity.label),
    element("span", { className: "score", dir: "ltr" }, entity.score.toFixed(2)),
  );
  return mark;
}

function row(entity) {
  const cells = [
    element("bdi", {}, entity.text),
    tag(entity.label),
    entity.score.toFixed(3),
    `${entity.start}–${entity.end}`,
  ];
  const line = element("tr");
  line.append(...cells.map((cell) => element("td", {}, cell)));
  return line;
}

function tag(label) {
  const bdi = element("bdi", { className: "tag" }, label);
  bdi.dataset.hue = hue(label);
  return bdi;
}

function hue(label) {
  if (!labels.includes(label)) labels.push(label);
  return String(labels.indexOf(label) % HUES);
}

function element(name, properties = {}, ...content) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...content);
  return made;
}

/** The answer as it would be with this threshold. */
function json() {
  const threshold = Number(at("threshold").value);
  const results = shown.answer.results.map((result) => ({
    ...result,
    entities: result.entities.filter((entity) => entity.score >= threshold),
  }));
  return JSON.stringify({ ...shown.answer, results }, null, 2);
}

/** The command that asks the same. The key is not in it, only the name of the variable that holds one. */
function curl() {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const body = { ...shown.body, threshold: Number(at("threshold").value) };
  const parts = ["curl", quoted(new URL(shown.path, document.baseURI).href), "-H 'content-type: application/json'"];
  if (at("key").value) parts.push('-H "authorization: Bearer $LIGHTNER_READ_KEY"');
  return [...parts, `--data-raw ${quoted(JSON.stringify(body))}`].join(" ");
}

async function copy(button, text) {
  const name = button.textContent;
  const done = await copied(text);
  button.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => (button.textContent = name), 1500);
}

async function copied(text) {
  // Browsers keep the clipboard from pages that came over plain HTTP from another machine.
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const area = element("textarea", { value: text, readOnly: true });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

function fail(error, again) {
  if (error.status === 401) {
    const before = at("key").value;
    at("key-form").hidden = false;
    // A link cannot carry a key.
    hide("elsewhere");
    hide("ask", "none", "result");
    at("key").focus();
    return before ? tell("This key is not the right one", "", { bad: true }) : quiet();
  }
  tell(error.title ?? "This page failed", error.message, { bad: true, again: PASSING.has(error.status) ? again : null });
}

function tell(title, detail = "", { bad = false, again = null } = {}) {
  at("notice-title").textContent = detail ? `${title}:` : title;
  at("notice-detail").textContent = detail;
  at("notice").classList.toggle("error", bad);
  at("again").hidden = again === null;
  at("again").onclick = again && (() => again());
  at("notice").hidden = false;
}

function quiet() {
  hide("notice");
}

function hide(...ids) {
  for (const id of ids) at(id).hidden = true;
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  find();
});
for (const id of ["text", "labels"]) {
  at(id).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      find();
    }
  });
}
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  loadDomains();
});
at("domain").addEventListener("change", change);
for (const [id, to] of [["use-labels", "labels"], ["use-domain", "domain"]]) {
  at(id).addEventListener("click", () => {
    typing = to === "labels";
    change();
    at(to).focus();
  });
}
at("threshold").addEventListener("input", show);
at("reload").addEventListener("click", loadDomains);
at("copy-json").addEventListener("click", (event) => copy(event.currentTarget, json()));
at("copy-curl").addEventListener("click", (event) => copy(event.currentTarget, curl()));
loadDomains();
