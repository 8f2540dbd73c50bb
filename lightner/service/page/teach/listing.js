// All sentences of a state, each a click from its place in the labelling view; and all of them as a file.

import { at, element, onClick, counted } from "./document.js";
import { call, fail } from "./service.js";
import { ofDomain, on, state } from "./state.js";

const LISTED = 20;

let shown = 0;

async function list(offset) {
  const wanted = at("list-state").value;
  const query = new URLSearchParams({ state: wanted, order: wanted === "open" ? "added" : "changed", offset, limit: LISTED });
  try {
    const { examples, total } = await call("GET", `${ofDomain("examples")}?${query}`);
    const items = examples.map(itemOf);
    if (offset === 0) at("list").replaceChildren(...items);
    else at("list").append(...items);
    shown = offset + examples.length;
    at("list-summary").textContent = total > shown ? `${shown} of ${counted(total, "sentence")}` : counted(total, "sentence");
    at("list-more").hidden = shown >= total;
  } catch (error) {
    fail(error);
  }
}

function itemOf({ id, text, spans }) {
  const button = element("button", { type: "button", className: "quiet", dir: "auto" }, text);
  button.dataset.id = id;
  return element("li", {}, button, element("span", { className: "hint" }, ` ${counted(spans.length, "label")}`));
}

async function save() {
  const format = at("export-format").value;
  try {
    const content = await call("GET", `${ofDomain("examples", "export")}?format=${format}`, { text: true });
    const ending = format === "conll" ? "conll" : format === "label_studio" ? "json" : "jsonl";
    const href = URL.createObjectURL(new Blob([content], { type: "text/plain" }));
    element("a", { href, download: `${state.domain}.${ending}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
  } catch (error) {
    fail(error);
  }
}

/** `open` is called with the id of a sentence that is chosen. */
export function installListing(open) {
  at("listing").addEventListener("toggle", () => at("listing").open && list(0));
  at("list-state").addEventListener("change", () => list(0));
  onClick("list-more", () => list(shown));
  onClick("export", save);
  at("list").addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button !== null) open(button.dataset.id);
  });
  on("domain", () => (at("listing").open = false));
}
