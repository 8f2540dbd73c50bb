// Step 1: choose or create a domain, and name its labels.

import { announce, at, counted, hide, onClick, onSend, quiet, show, tell } from "./document.js";
import { tag } from "./colours.js";
import { forget, keep, kept } from "./drafts.js";
import { call, fail, path } from "./service.js";
import { choose, emit, know, ofDomain, on, state } from "./state.js";
import { addRow, focusFirstFault, rowsOf, showRows } from "./label_rows.js";

const NAME = /^[a-z0-9][a-z0-9._-]{0,127}$/;

let domains = [];

/** Ask for the domains; choose the one that this tab had before. */
export async function begin() {
  const [{ domains: published }, { domains: taught }] = await Promise.all([
    call("GET", path("domains")),
    call("GET", path("teaching")),
  ]);
  domains = [...new Set([...published, ...taught])].sort();
  listDomains();
  const before = kept("domain");
  if (before !== null) await use(before);
  else if (domains.length === 0) at("new-domain").focus();
}

function listDomains() {
  const nothing = new Option("choose one", "", true);
  const known = state.domain === null || domains.includes(state.domain) ? domains : [...domains, state.domain];
  at("domain").replaceChildren(...(state.domain ? [] : [nothing]), ...known.map((name) => new Option(name, name)));
  at("domain").value = state.domain ?? "";
  at("by-choice").hidden = known.length === 0;
}

async function use(name) {
  try {
    await choose(name);
  } catch (error) {
    return fail(error, () => use(name));
  }
  keep("domain", name);
  listDomains();
}

async function create() {
  const name = at("new-domain").value.trim();
  if (!NAME.test(name)) {
    at("new-domain").focus();
    return tell("This name cannot be used", "it takes small letters, digits, dots, hyphens and underscores, and begins with a letter or digit", { bad: true });
  }
  quiet();
  await use(name);
  at("new-domain").value = "";
  at("label-rows").querySelector(".name").focus();
  announce(domains.includes(name) ? `The domain ${name} is there already` : `Now name the labels of ${name}`);
}

/** Show the labels of the present domain, or those typed for it and not saved. */
function showLabels() {
  const typed = kept(`labels ${state.domain}`);
  at("labels-of").textContent = state.domain;
  showRows(typed ?? state.labels);
  show("label-form");
  hide("labels-conflict");
  at("to-texts").hidden = state.labels.length === 0;
}

async function save(revision = state.revision) {
  const labels = rowsOf(state.labels);
  const fault = faultOf(labels);
  if (fault !== null) {
    focusFirstFault();
    return tell("The labels are not saved", fault, { bad: true });
  }
  quiet();
  try {
    saved(await call("PUT", ofDomain("labels"), { body: { revision, labels } }));
  } catch (error) {
    if (error.kind !== "changed-meanwhile") return fail(error, () => save(revision));
    // A repeated request whose first answer was lost has been carried out.
    if (JSON.stringify(error.content.present.labels) === JSON.stringify(labels)) saved(error.content.present);
    else showConflict(error.content.present);
  }
}

function faultOf(labels) {
  if (labels.length === 0) return "there is none yet: type a name";
  const names = labels.map(({ name }) => name);
  if (names.includes("")) return "one has words and no name";
  const twice = names.find((name, place) => names.indexOf(name) < place);
  return twice === undefined ? null : `${twice} is there twice`;
}

function saved(answer) {
  forget(`labels ${state.domain}`);
  if (!domains.includes(state.domain)) domains = [...domains, state.domain].sort();
  know(answer);
  listDomains();
  tell("Saved", counted(answer.labels.length, "label"));
  at("to-texts").focus();
}

function showConflict(present) {
  const tags = present.labels.flatMap(({ name }) => [tag(name), " "]);
  at("labels-theirs").replaceChildren(`${present.who} has saved: `, ...tags);
  show("labels-conflict");
  at("labels-conflict-title").focus();
  at("labels-take").onclick = () => {
    forget(`labels ${state.domain}`);
    know(present);
    at("labels-title").focus?.();
  };
  at("labels-keep").onclick = () => {
    hide("labels-conflict");
    save(present.revision);
  };
}

/** Keep what is typed, so that a reload loses nothing. */
function typed() {
  keep(`labels ${state.domain}`, rowsOf(state.labels));
}

export function install() {
  onSend("choose", "create", create);
  onSend("label-form", "save-labels", () => save());
  at("domain").addEventListener("change", () => use(at("domain").value));
  onClick("add-label", () => addRow().focus());
  onClick("to-texts", () => emit("go", "texts"));
  at("label-form").addEventListener("input", typed);
  at("label-form").addEventListener("removed", typed);
  on("labels", showLabels);
  on("domain", () => {
    at("where-name").textContent = state.domain;
    show("where");
  });
}
