// What a tuning has found, in tables and lists.

import { counted, element } from "./document.js";
import { tag } from "./colours.js";

const KINDS = {
  right: "right",
  wrong_type: "with another label",
  wrong_words: "with other words",
  spurious: "found where there is none",
  missed: "missed",
};

const figure = (value) => (value === null ? "–" : value.toFixed(2));

/** The parts of a result, none where nothing has changed; `open` is called with a sentence's id and a note when one is chosen. */
export function partsOf(result, open) {
  if (Object.keys(result.labels).length === 0) return [];
  const parts = [heading("F1"), tableOf(result), errorsOf(result.errors)];
  if (result.confusions.length > 0) parts.push(heading("Most frequent confusions"), confusionsOf(result.confusions));
  if (result.disagreements.length > 0) parts.push(...disagreementsOf(result.disagreements, open));
  return parts;
}

const heading = (text) => element("h3", {}, text);

function tableOf({ f1, labels }) {
  const head = element("tr");
  head.append(...["Label", "Sentences", "Before", "After"].map((text) => element("th", { scope: "col" }, text)));
  const rows = Object.entries(labels).map(([name, { before, after, sentences }]) => rowOf(tag(name), sentences, before, after));
  const all = rowOf("all", "", f1.before, f1.after);
  all.className = "all";
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows, all));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "F1 by label" }, table);
}

function rowOf(name, sentences, before, after) {
  const cells = [String(sentences), figure(before), figure(after)].map((text) => element("td", {}, text));
  return element("tr", {}, element("th", { scope: "row" }, name), ...cells);
}

function errorsOf(errors) {
  const parts = Object.entries(KINDS).filter(([kind]) => errors[kind] > 0).map(([kind, words]) => `${errors[kind]} ${words}`);
  return element("p", { className: "hint" }, `Entities: ${parts.join(", ") || "none"}.`);
}

function confusionsOf(confusions) {
  const items = confusions.map(({ gold, found, count }) => element("li", {}, tag(gold), " taken for ", tag(found), ` ${counted(count, "time")}`));
  return element("ul", { className: "plain" }, ...items);
}

function disagreementsOf(disagreements, open) {
  const items = disagreements.map(({ id, text, labelled, found }) => {
    const button = element("button", { type: "button", className: "quiet", dir: "auto" }, text);
    button.addEventListener("click", () => open(id, `the model, without this sentence, found: ${saidOf(found, text)}`));
    const words = `labelled: ${saidOf(labelled, text)} — found: ${saidOf(found, text)}`;
    return element("li", {}, button, element("p", { className: "hint", dir: "auto" }, words));
  });
  return [
    heading("Worth a second look"),
    element("p", { className: "hint" }, "Here a prompt that had not learned the sentence disagrees with its labels. One of the two is wrong."),
    element("ul", { className: "plain list" }, ...items),
  ];
}

function saidOf(spans, text) {
  const characters = Array.from(text);
  const parts = spans.map(({ start, end, label }) => `${characters.slice(start, end).join("")} (${label})`);
  return parts.join(", ") || "nothing";
}
