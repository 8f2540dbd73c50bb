// Step 3: one sentence at a time; accept, correct, skip, undo.

import { announce, at, busy, element, hide, onClick, show, tell } from "./document.js";
import { keysOf, paint } from "./colours.js";
import { abandon, chooseBetween } from "./conflict.js";
import { forget, keep, kept } from "./drafts.js";
import { installListing } from "./listing.js";
import * as progress from "./progress.js";
import * as queue from "./queue.js";
import { Sentence } from "./sentence.js";
import { call, fail } from "./service.js";
import { same } from "./spans.js";
import { emit, ofDomain, on, state } from "./state.js";

// The sentence that is being labelled, as the service has it; null: none.
let current = null;
// Sentences decided in this tab, the last one last: id, revision, and the spans given.
let decided = [];
let working = false;
let sentence = null;

const draftOf = (id) => `draft ${state.domain} ${id}`;

/** Do one thing at a time; whatever keys are pressed meanwhile do nothing. */
async function once(work) {
  if (working) return;
  working = true;
  at("sentence-panel").setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    fail(error, () => once(work));
  } finally {
    working = false;
    at("sentence-panel").removeAttribute("aria-busy");
  }
}

async function next(before = "") {
  const id = await queue.next();
  if (id === null) return showNothing(before);
  await open(id, { before, only: "open" });
}

/** Show a sentence: with spans that were given, else those not saved yet, else those it has, else what is proposed.
 *  One that is no longer in the state `only`, or there at all, is passed over: somebody else was faster. */
async function open(id, { spans = null, before = "", note = "", only = null } = {}) {
  const found = await queue.fetched(id).catch((error) => {
    if (error.status !== 404) throw error;
    return null;
  });
  if (found === null || (only !== null && found.state !== only)) return next(before);
  current = found;
  const proposed = proposalsOf(found);
  const draft = kept(draftOf(id));
  const unsaved = spans ?? (draft?.revision === found.revision ? draft.spans : null);
  sentence.show(found.text, found.tokens, unsaved ?? proposed, unsaved === null ? [] : [proposed]);
  if (sentence.nested) at("nest").checked = true;
  at("sentence-about").textContent = [note, aboutOf(found)].filter(Boolean).join(" · ");
  hide("nothing-left");
  show("sentence-panel");
  sentence.focus();
  announce(`${before} ${found.text} — ${sentence.said()}`.trim());
  queue.fetchAhead();
}

/** What an open sentence that nobody has labelled yet is shown with. */
function proposalsOf({ state: is, spans, proposals }) {
  return is === "open" && spans.length === 0 && proposals !== null ? proposals.entities : spans;
}

function aboutOf({ state: is, provenance, who, proposals }) {
  if (is !== "open") return `${is === "test" ? "held out for test" : is} · ${provenance} by the ${who} key`;
  if (proposals === null) return "no proposals: the model is busy, or there are no labels yet";
  const by = proposals.prompt_version === null ? "the labels’ words alone" : `version ${proposals.prompt_version}`;
  return `proposed by ${by} · certainty ${proposals.certainty.toFixed(2)}`;
}

function showNothing(before) {
  current = null;
  hide("sentence-panel");
  show("nothing-left");
  at("nothing-title").focus();
  announce(`${before} Nothing is left to label`.trim());
}

/** Save the sentence as done or skipped, and go to the next one. */
async function decide(target, revision = current.revision) {
  const { id } = current;
  const spans = target === "skipped" ? current.spans : sentence.spans;
  const as = target === "done" && current.state === "test" ? "test" : target;
  const accepted = current.proposals !== null && same(spans, current.proposals.entities);
  const body = { revision, spans, state: as, provenance: accepted ? "accepted" : "corrected" };
  let saved;
  try {
    saved = await call("PUT", ofDomain("examples", id), { body });
  } catch (error) {
    if (error.kind !== "changed-meanwhile" && error.status !== 404) throw error;
    saved = await settle(error.content.present ?? null, { as, spans, target });
    if (saved === null) return;
  }
  // The domain may have been changed meanwhile.
  if (current?.id !== id) return;
  forget(draftOf(id));
  decided.push({ id, revision: saved.revision, spans: sentence.spans });
  refresh();
  await next(`${target === "skipped" ? "Skipped." : "Saved."} Next:`);
}

/** Somebody else was faster: the sentence as it is then, or null if this one has been left to them. */
async function settle(present, { as, spans, target }) {
  // A repeated request whose first answer was lost has been carried out.
  if (present !== null && present.state === as && same(present.spans, spans)) return present;
  const choice = await chooseBetween(present);
  if (choice === "neither") return null;
  if (choice === "theirs") {
    forget(draftOf(current.id));
    refresh();
    await next("Theirs is kept. Next:");
    return null;
  }
  if (present === null) return addAgain(spans, target);
  await decide(target, present.revision);
  return null;
}

async function addAgain(spans, target) {
  const body = { examples: [{ text: current.text, spans, state: target }] };
  await call("POST", ofDomain("examples"), { body });
  forget(draftOf(current.id));
  refresh();
  await next("Added again. Next:");
  return null;
}

/** Take back the last change of spans, else the last decision. */
async function undo() {
  if (current !== null && sentence.undo()) return announce(`Undone: ${sentence.said()}`);
  const last = decided.pop() ?? (current?.history.length > 1 ? { id: current.id, revision: current.revision, spans: null } : null);
  if (last === null) return tell("There is nothing to undo");
  if (current !== null && current.id !== last.id) queue.putFirst(current.id);
  try {
    await call("POST", ofDomain("examples", last.id, "undo"), { body: { revision: last.revision } });
  } catch (error) {
    if (error.status !== 409 && error.status !== 422) throw error;
    last.spans = null;
    tell(error.title, error.message);
  }
  refresh();
  await open(last.id, { spans: last.spans, before: "Undone." });
}

function refresh() {
  progress.refresh().catch(fail);
}

/** Delete the sentence with its text, when the button is pressed twice. */
async function remove() {
  const button = at("delete-example");
  if (button.dataset.sure !== "true") {
    button.dataset.sure = "true";
    button.textContent = "Delete it for good?";
    return announce("Press again to delete the sentence for good");
  }
  calm();
  try {
    await call("DELETE", `${ofDomain("examples", current.id)}?revision=${current.revision}`);
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  forget(draftOf(current.id));
  refresh();
  await next("Deleted. Next:");
}

function calm() {
  delete at("delete-example").dataset.sure;
  at("delete-example").textContent = "Delete sentence";
}

function give(name) {
  if (current === null || !sentence.label(name, at("nest").checked)) return;
  announce(sentence.said());
}

function unlabel() {
  if (current !== null) announce(sentence.remove() ? `Removed. ${sentence.said()}` : "There is no label");
}

/** Keys of the step. They act only while the focus is in the sentence and its buttons. */
function press(event) {
  if (event.altKey || event.metaKey || event.isComposing) return;
  const key = event.key.toLowerCase();
  const action = actionOf(key, event);
  if (action === null || (event.ctrlKey && key !== "z")) return;
  event.preventDefault();
  // A key that is held down must not accept one sentence after the other.
  if (!event.repeat || key === "delete" || key === "backspace") action();
}

function actionOf(key, event) {
  // A button that has the focus is pressed by Enter.
  if (key === "enter") return event.target.closest("button") ? null : () => once(() => decide("done"));
  if (key === "delete" || key === "backspace") return unlabel;
  if (key === "z") return () => once(undo);
  if (key === "s") return () => once(() => decide("skipped"));
  const found = keysOf(state.labels.map(({ name }) => name)).find(({ digit, letter }) => digit === key || letter === key);
  if (found) return () => give(found.name);
  // On keyboards of other scripts, the keys where s and z are elsewhere.
  return { KeyZ: () => once(undo), KeyS: () => once(() => decide("skipped")) }[event.code] ?? null;
}

function showLabelButtons() {
  const buttons = keysOf(state.labels.map(({ name }) => name)).map(({ name, digit, letter }) => {
    const button = paint(element("button", { type: "button", className: "label-button" }, element("bdi", {}, name)), name);
    for (const key of [digit, letter].filter(Boolean)) button.append(" ", element("kbd", {}, key));
    button.setAttribute("aria-keyshortcuts", [digit, letter].filter(Boolean).join(" "));
    button.addEventListener("click", () => {
      give(name);
      sentence.focus();
    });
    return button;
  });
  at("label-buttons").replaceChildren(...buttons);
}

function changed() {
  keep(draftOf(current.id), { revision: current.revision, spans: sentence.spans });
}

/** Come to the step: with sentences to start with, and a note on the first. */
export async function enter({ ids = [], note = "" } = {}) {
  refresh();
  if (!at("conflict").hidden) return tell("First choose", "between the two versions of this sentence");
  await once(async () => {
    if (ids.length > 0) {
      if (current !== null) queue.putFirst(current.id);
      queue.putFirst(...ids.slice(1));
      await open(ids[0], { note });
    } else if (current === null) await next();
    else sentence.focus();
  });
}

function forgetAll() {
  current = null;
  decided = [];
  queue.reset();
  hide("sentence-panel", "nothing-left");
  abandon();
}

export function install() {
  sentence = new Sentence(at("sentence"), changed);
  at("sentence-panel").addEventListener("keydown", press);
  const back = (work) => async () => {
    await work();
    if (at("conflict").hidden && current !== null) sentence.focus();
  };
  onClick("accept", back(() => once(() => decide("done"))));
  onClick("skip", back(() => once(() => decide("skipped"))));
  onClick("undo", back(() => once(undo)));
  onClick("remove-label", back(unlabel));
  onClick("delete-example", () => once(remove));
  at("delete-example").addEventListener("blur", calm);
  onClick("more-texts", () => emit("go", "texts"));
  onClick("to-tune", () => emit("go", "tune"));
  installListing((id) => busy("listing", () => enter({ ids: [id] })));
  on("domain", forgetAll);
  on("labels", () => {
    queue.reset();
    showLabelButtons();
  });
  // A new version proposes something else.
  on("version", queue.reset);
}
