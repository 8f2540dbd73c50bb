// Two people on one sentence: what the other did beside what this one did, and a choice between the two.

import { at, element, hide, show } from "./document.js";
import { paint } from "./colours.js";
import { marked, underline } from "./spans.js";

const STATES = { open: "left it open", done: "labelled it", skipped: "skipped it", test: "labelled it; it is held out for test" };

/** A marked part of a text, with its label, around the text and the marks within it. */
export function markOf(content, { label, score = null }) {
  const mark = underline(paint(element("mark", { dir: "auto" }, ...content), label));
  mark.append(element("bdi", { className: "label" }, label));
  if (score !== null) mark.append(element("span", { className: "score", dir: "ltr" }, score.toFixed(2)));
  return mark;
}

let abandoned = () => {};

/** Leave an open choice as it is. */
export function abandon() {
  hide("conflict");
  abandoned();
}

/** Show what somebody else made of a sentence, or null where it is deleted; resolves with "theirs", "mine" or "neither". */
export function chooseBetween(present) {
  at("conflict-title").textContent = present === null ? "Somebody else has deleted this sentence" : "Somebody else has changed this sentence";
  at("conflict-about").textContent = present === null ? "" : aboutOf(present);
  at("conflict-theirs").replaceChildren(...(present === null ? [] : marked(present.text, present.spans, markOf)));
  at("keep-mine").textContent = present === null ? "Add it again with my labels" : "Put mine in its place";
  at("take-theirs").textContent = present === null ? "Leave it deleted" : "Take theirs";
  show("conflict");
  at("conflict-title").focus();
  return new Promise((resolve) => {
    const choose = (choice) => () => {
      hide("conflict");
      resolve(choice);
    };
    abandoned = choose("neither");
    at("take-theirs").onclick = choose("theirs");
    at("keep-mine").onclick = choose("mine");
  });
}

function aboutOf({ who, when, state, spans }) {
  const time = new Date(when).toLocaleTimeString([], { timeStyle: "short" });
  const labels = spans.length === 0 ? " without labels" : "";
  return `The ${who} key ${STATES[state]}${labels} at ${time}. What you did is still above; nothing is saved yet.`;
}
