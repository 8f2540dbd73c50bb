// Step 5: ask the domain about a text. A wrong answer becomes sentences to label.

import { announce, at, element, hide, onClick, onSend, quiet, show, tell, counted } from "./document.js";
import { tag } from "./colours.js";
import { markOf } from "./conflict.js";
import { keep, kept } from "./drafts.js";
import { call, fail, path } from "./service.js";
import { marked } from "./spans.js";
import { emit, ofDomain, on, state } from "./state.js";

let shown = null;

async function find() {
  const text = at("text").value.toWellFormed?.() ?? at("text").value;
  if (text.trim() === "") {
    at("text").focus();
    return tell("There is no text yet", "paste one and ask again");
  }
  quiet();
  try {
    display(text, await answerFor(text));
  } catch (error) {
    hide("answer");
    fail(error, find);
  }
}

/** The answer of the live version; before there is one, of the labels' words alone. */
async function answerFor(text) {
  try {
    return await call("POST", ofDomain("entities"), { body: { texts: [text] } });
  } catch (error) {
    if (error.status !== 404 || state.labels.length === 0) throw error;
  }
  const labels = Object.fromEntries(state.labels.map(({ name, words }) => [name, words]));
  return call("POST", path("entities"), { body: { items: [{ labels, text }] } });
}

function display(text, { prompt_version: version = null, results: [result] }) {
  if (result.problem) {
    hide("answer");
    return tell(result.problem.title, result.problem.detail, { bad: true });
  }
  const { entities } = result;
  shown = { text, entities };
  const by = version === null ? "by the labels’ words alone" : `by version ${version}`;
  at("answer-about").textContent = `${counted(entities.length, "entity", "entities")} · ${by}`;
  at("answer-text").replaceChildren(...marked(text, entities, markOf));
  at("answer-rows").replaceChildren(...entities.map(rowOf));
  at("answer-table").hidden = entities.length === 0;
  show("answer");
  at("answer-title").focus({ preventScroll: true });
  announce(at("answer-about").textContent);
}

function rowOf(entity) {
  const button = element("button", { type: "button", ariaLabel: `Correct ${entity.text}` }, "Correct");
  button.addEventListener("click", () => correct(entity.start));
  const cells = [element("bdi", {}, entity.text), tag(entity.label), entity.score.toFixed(2), button];
  return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
}

/** Make sentences of the text into examples, and open the one with the character `start` first. */
async function correct(start) {
  quiet();
  try {
    const body = { examples: [{ text: shown.text }], split: true };
    const { examples } = await call("POST", ofDomain("examples"), { body });
    const ids = ordered(examples, start).map(({ id }) => id);
    const known = examples.every((each) => !each.new);
    emit("go", { step: "label", ids: [...new Set(ids)], note: known ? "this sentence was there already" : "from Try" });
  } catch (error) {
    fail(error, () => correct(start));
  }
}

/** The sentences of the text from the one with the character `start`; those before it come last. */
function ordered(examples, start) {
  const place = Array.from(shown.text).slice(0, start).join("").length;
  let end = 0;
  const first = examples.findIndex(({ text }) => {
    end = shown.text.indexOf(text, end) + text.length;
    return place < end;
  });
  return [...examples.slice(Math.max(first, 0)), ...examples.slice(0, Math.max(first, 0))];
}

export function install() {
  onSend("ask", "find", find);
  at("text").value = kept("tried") ?? "";
  at("text").addEventListener("input", () => keep("tried", at("text").value));
  at("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    at("ask").requestSubmit();
  });
  onClick("correct", () => correct(0));
  on("domain", () => hide("answer"));
}
