// The page: five steps as tabs. Each step has `install`, and `enter` where something is to be done on coming to it.

import { announce, at, hide, onClick, quiet, show, tell } from "./document.js";
import { keep, kept } from "./drafts.js";
import * as domain from "./domain.js";
import * as label from "./label.js";
import * as texts from "./texts.js";
import * as tried from "./try.js";
import * as tune from "./tune.js";
import { fail, takeKeyFromAddress } from "./service.js";
import { on, state } from "./state.js";

const STEPS = { domain, texts, label, tune, try: tried };
const NAMES = Object.keys(STEPS);

let present = "domain";

/** Show a step. `given` is for its `enter`. */
async function go(name, given = undefined) {
  if (name !== "domain" && state.domain === null) {
    return tell("There is no domain yet", "choose or create one first");
  }
  if (name !== present) quiet();
  present = name;
  keep("step", name);
  for (const each of NAMES) {
    at(`tab-${each}`).ariaSelected = String(each === name);
    at(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    at(`${each}-step`).hidden = each !== name;
  }
  scrollTo(0, 0);
  await STEPS[name].enter?.(given);
}

/** Arrows lead from tab to tab, Home and End to the first and last. */
function move(event) {
  const from = NAMES.indexOf(event.target.id.replace("tab-", ""));
  const to = { ArrowRight: from + 1, ArrowLeft: from - 1 + NAMES.length, Home: 0, End: NAMES.length - 1 }[event.key];
  if (to === undefined || from < 0) return;
  event.preventDefault();
  at(`tab-${NAMES[to % NAMES.length]}`).focus();
}

/** Go on where a link or button leads, with the focus on the step's title. */
async function lead(wanted) {
  const { step, ...given } = typeof wanted === "string" ? { step: wanted } : wanted;
  const title = { domain: "domain-title", texts: "texts-title", label: "sentence-title", tune: "tune-title", try: "try-title" }[step];
  await go(step, given);
  if (step !== "label") at(title).focus();
}

async function begin() {
  hide("steps", "domain-step");
  tell("Looking for domains");
  try {
    await domain.begin();
  } catch (error) {
    return fail(error, begin);
  }
  quiet();
  show("steps", "domain-step");
  const before = kept("step");
  if (state.domain !== null && NAMES.includes(before) && before !== "domain") await go(before);
  else if (state.domain === null) at("new-domain").focus();
  else announce(`Domain ${state.domain}`);
}

takeKeyFromAddress();
for (const step of Object.values(STEPS)) step.install();
for (const name of NAMES) onClick(`tab-${name}`, () => go(name));
onClick("notice-close", quiet);
at("steps").addEventListener("keydown", move);
on("go", lead);
begin();
