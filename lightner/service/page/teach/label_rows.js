// The rows in which labels are typed: name, words, colour.

import { at, element } from "./document.js";
import { colourFor } from "./colours.js";

const FIRST_ROWS = 3;

/** Show labels, or empty rows where there are none. */
export function showRows(labels) {
  at("label-rows").replaceChildren();
  for (const label of labels) addRow(label);
  while (at("label-rows").children.length < FIRST_ROWS && labels.length === 0) addRow();
}

/** Add a row; returns its field for the name. */
export function addRow({ name = "", words = null, colour = null } = {}) {
  const number = nextNumber();
  const row = element("div", { className: "label-row", role: "group", ariaLabel: `Label ${number}` });
  const field = (kind, properties) => element("input", { type: "text", autocomplete: "off", ...properties, className: kind });
  const named = field("name", { value: name, dir: "auto", placeholder: "dish", ariaLabel: "Name", spellcheck: false });
  const said = field("words", { value: typedAs(words), dir: "auto", placeholder: "what it means (optional)", ariaLabel: "Words" });
  const colourField = field("colour", { type: "color", value: colour ?? colourFor(number - 1), ariaLabel: "Colour" });
  const remove = element("button", { type: "button", className: "remove", ariaLabel: "Remove this label", title: "Remove this label" }, "×");
  remove.addEventListener("click", () => removeRow(row));
  named.addEventListener("keydown", (event) => leadOn(event, row));
  row.append(colourField, named, said, remove);
  at("label-rows").append(row);
  return named;
}

/** Enter in a name leads to the next row, which is made if need be; in an empty name it saves. */
function leadOn(event, row) {
  if (event.key !== "Enter" || event.ctrlKey || event.target.value.trim() === "" || event.isComposing) return;
  event.preventDefault();
  (row.nextElementSibling?.querySelector(".name") ?? addRow()).focus();
}

function removeRow(row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  (next?.querySelector(".name") ?? at("add-label")).focus();
  at("label-form").dispatchEvent(new Event("removed"));
}

function nextNumber() {
  return at("label-rows").children.length + 1;
}

/** What the rows say; empty ones say nothing. Words that are as `known` has them keep their form. */
export function rowsOf(known) {
  return [...at("label-rows").children]
    .map((row) => {
      const value = (kind) => row.querySelector(`.${kind}`).value.trim();
      const colour = row.querySelector(".colour");
      return { name: value("name"), words: formOf(value("name"), value("words"), known), colour: colour.value };
    })
    .filter(({ name, words }) => name !== "" || words !== null);
}

const typedAs = (words) => (Array.isArray(words) ? words.join(", ") : (words ?? ""));

function formOf(name, typed, known) {
  const before = known.find((label) => label.name === name)?.words;
  if (before !== undefined && typedAs(before) === typed) return before;
  return typed || null;
}

export function focusFirstFault() {
  const names = [...at("label-rows").querySelectorAll(".name")];
  const seen = new Set();
  const fault = names.find((each) => {
    const name = each.value.trim();
    const words = each.parentElement.querySelector(".words").value.trim();
    if (seen.has(name) && name !== "") return true;
    seen.add(name);
    return name === "" && words !== "";
  });
  (fault ?? names[0])?.focus();
}
