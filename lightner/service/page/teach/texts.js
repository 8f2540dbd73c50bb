// Step 2: texts, pasted or of a file.

import { at, counted, element, hide, onClick, onSend, quiet, show, tell } from "./document.js";
import { forget, keep, kept } from "./drafts.js";
import { columnsOf, kindOf, partsOf, pieces, readFile, textOf } from "./files.js";
import { call, fail } from "./service.js";
import { choose, emit, ofDomain, on, state } from "./state.js";

const MOST_CHARACTERS = 10_000;
const MOST_TEXTS = 200;
const MOST_AT_ONCE = 200_000;
const SHOWN_DUPLICATES = 50;
const REPAIRS = /grow-to-word|drop-span|keep-longest|tags-as-conlleval|drop-sentence/g;

let file = null;

async function addPasted() {
  const text = at("pasted").value;
  if (text.trim() === "") {
    at("pasted").focus();
    return tell("There is no text yet", "paste one, or choose a file");
  }
  const cut = new FormData(at("paste")).get("cut");
  if (!(await addTexts(partsOf(text, cut), { split: cut === "sentences" }))) return;
  at("pasted").value = "";
  forget("pasted");
}

/** Add texts, as many at once as the service takes; returns whether all were added. */
async function addTexts(texts, { split }) {
  quiet();
  const total = { added: 0, duplicates: [] };
  try {
    for (const batch of batchesOf(texts.flatMap((text) => pieces(text, MOST_CHARACTERS)))) {
      const body = { examples: batch.map((text) => ({ text })), split };
      const answer = await call("POST", ofDomain("examples"), { body });
      total.added += answer.added;
      total.duplicates.push(...answer.examples.filter((each) => !each.new).map((each) => each.text));
    }
  } catch (error) {
    // What was added stays; adding all of it again adds the rest.
    fail(error);
    return false;
  }
  report({ ...total, notes: [] });
  return true;
}

function batchesOf(texts) {
  const batches = [[]];
  let size = 0;
  for (const text of texts) {
    if (batches.at(-1).length === MOST_TEXTS || size + text.length > MOST_AT_ONCE) {
      batches.push([]);
      size = 0;
    }
    batches.at(-1).push(text);
    size += text.length;
  }
  return batches.filter((batch) => batch.length > 0);
}

/** Say what was added. `duplicates` are texts, or their number. */
function report({ added, duplicates, notes }) {
  const known = Array.isArray(duplicates) ? duplicates : [];
  const number = Array.isArray(duplicates) ? duplicates.length : duplicates;
  const before = number > 0 ? `; ${number} ${number === 1 ? "was" : "were"} there already` : "";
  at("added-title").textContent = `Added ${counted(added, "sentence")}${before}`;
  at("added-notes").replaceChildren(...notes.map((note) => element("li", {}, note)));
  at("duplicates").hidden = known.length === 0;
  at("duplicates-summary").textContent = counted(known.length, "duplicate");
  at("duplicates-list").replaceChildren(
    ...known.slice(0, SHOWN_DUPLICATES).map((text) => element("li", { dir: "auto" }, text)),
  );
  show("added");
  at("added-title").focus();
}

async function chooseFile(chosen) {
  quiet();
  hide("chosen");
  file = null;
  if (!chosen) return;
  try {
    file = await readFile(chosen);
  } catch (error) {
    return tell("This file cannot be read", error.message, { bad: true });
  }
  at("file-name").textContent = file.name;
  at("file-size").textContent = file.content === null ? counted(file.bytes, "byte") : counted(linesIn(file.content), "line");
  at("kind").querySelector("[value=text]").disabled = file.content === null;
  at("kind").querySelector("[value=column]").disabled = file.rows === null;
  at("kind").querySelector("[value=records]").disabled = file.records === null;
  at("kind").value = kindOf(file);
  if (file.rows !== null) {
    const { columns, best } = columnsOf(file.rows);
    at("column").replaceChildren(...columns.map(({ name }, place) => new Option(name, String(place))));
    at("column").value = String(best);
  }
  showKind();
  show("chosen");
  at("kind").focus();
}

const linesIn = (content) => content.split("\n").filter((line) => line.trim() !== "").length;

function showKind() {
  at("by-column").hidden = at("kind").value !== "column";
  at("by-check").hidden = at("kind").value !== "labelled";
  at("repairs").replaceChildren();
  const sample = at("kind").value === "labelled" ? (file.content ?? "") : (textsOfFile()[0] ?? "");
  at("file-sample").hidden = sample === "";
  at("file-sample").textContent = Array.from(sample.trim().split("\n").slice(0, 3).join("\n")).slice(0, 300).join("");
}

function textsOfFile() {
  const kind = at("kind").value;
  if (kind === "column") return columnsOf(file.rows).columns[Number(at("column").value)].cells.filter((cell) => cell.trim() !== "");
  if (kind === "records") return file.records.map(textOf).filter((text) => text !== null && text.trim() !== "");
  return partsOf(file.content, new FormData(at("paste")).get("cut"));
}

async function addFile() {
  const cut = new FormData(at("paste")).get("cut");
  const done = at("kind").value === "labelled" ? await importFile([]) : await addTexts(textsOfFile(), { split: cut === "sentences" });
  if (done) closeFile();
}

function closeFile() {
  file = null;
  at("file").value = "";
  hide("chosen");
}

/** Add labelled sentences. A fault that can be repaired in a known way is offered so. */
async function importFile(repairs) {
  quiet();
  at("repairs").replaceChildren();
  const content = file.content === null ? { content_base64: file.base64 } : { content: file.content };
  const body = { name: file.name, ...content, state: at("check").checked ? "open" : "done", repairs };
  let answer;
  try {
    answer = await call("POST", ofDomain("examples", "import"), { body });
  } catch (error) {
    fail(error);
    offerRepairs(error.message, repairs);
    return false;
  }
  if (answer.labels.length > 0) await choose(state.domain);
  const labels = answer.labels.length > 0 ? [`New labels: ${answer.labels.join(", ")}`] : [];
  report({ ...answer, notes: [...labels, ...answer.notes] });
  return true;
}

function offerRepairs(message, tried) {
  const named = [...new Set(message.match(REPAIRS) ?? [])].filter((each) => !tried.includes(each));
  const buttons = named.map((name) => {
    const button = element("button", { type: "button" }, `Repair: ${name.replaceAll("-", " ")}`);
    button.addEventListener("click", async () => {
      if (await importFile([...tried, name])) closeFile();
    });
    return button;
  });
  at("repairs").replaceChildren(...buttons);
}

/** A file that is dropped on the step. */
function installDrop() {
  const zone = at("texts-step");
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  zone.addEventListener("dragleave", () => at("drop").classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    chooseFile(event.dataTransfer.files[0]);
  });
}

export function enter() {
  if (state.labels.length === 0) tell("No labels are saved yet", "texts can be added all the same; proposals come once there are labels");
}

export function install() {
  onSend("paste", "add-texts", addPasted);
  onSend("drop", "add-file", () => file && addFile());
  at("pasted").value = kept("pasted") ?? "";
  at("pasted").addEventListener("input", () => keep("pasted", at("pasted").value));
  at("file").addEventListener("change", () => chooseFile(at("file").files[0]));
  at("kind").addEventListener("change", showKind);
  at("column").addEventListener("change", showKind);
  at("paste").addEventListener("change", () => file && showKind());
  onClick("to-label", () => emit("go", "label"));
  installDrop();
  on("domain", () => hide("added"));
}
