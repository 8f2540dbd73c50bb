// How many sentences are labelled, how often each label, and what is still thin.

import { at, element } from "./document.js";
import { tag } from "./colours.js";
import { call } from "./service.js";
import { ofDomain, state } from "./state.js";

// Sentences of a label below which a tuning is told to lack some.
const ENOUGH = 5;

let asked = 0;

export async function refresh() {
  const own = (asked += 1);
  const counts = await call("GET", ofDomain("examples", "counts"));
  if (own === asked) display(counts);
}

function display({ total, states, labels }) {
  const finished = states.done + states.test;
  const wanted = total - states.skipped;
  const skipped = states.skipped > 0 ? ` · ${states.skipped} skipped` : "";
  const test = states.test > 0 ? ` · ${states.test} held out for test` : "";
  at("done-text").textContent = `${finished} of ${wanted} labelled${skipped}${test}`;
  at("done-bar").max = Math.max(wanted, 1);
  at("done-bar").value = finished;
  const names = [...new Set([...state.labels.map(({ name }) => name), ...Object.keys(labels)])];
  at("label-counts").replaceChildren(...names.flatMap((name) => [countOf(name, labels[name]?.sentences ?? 0), " "]));
}

function countOf(name, sentences) {
  const missing = Math.max(0, ENOUGH - sentences);
  const more = missing > 0 ? element("span", { className: "thin" }, ` ${missing} more needed`) : "";
  return element("span", { className: "count" }, tag(name), ` ${sentences}`, more);
}
