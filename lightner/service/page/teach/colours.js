// Labels' colours and keys. A colour is used as a hue, so that text on it can be read in light and dark alike.

import { element } from "./document.js";
import { state } from "./state.js";

const HUES = [210, 35, 140, 330, 265, 60, 180, 5, 235, 95];
const GREY = 0.12;
// Keys that do something else.
const TAKEN = "sz";

/** Give an element the colour of a label. */
export function paint(node, name) {
  const place = state.labels.findIndex((label) => label.name === name);
  const { hue, grey } = hueOf(state.labels[place]?.colour ?? colourFor(Math.max(place, 0)));
  node.style.setProperty("--hue", String(hue));
  if (grey) node.style.setProperty("--mark-saturation", "0%");
  return node;
}

export function tag(name) {
  return paint(element("bdi", { className: "tag" }, name), name);
}

/** A colour for the label at a place, as #rrggbb. */
export function colourFor(place) {
  const hue = HUES[place % HUES.length];
  const channel = (shift) => {
    const k = (shift + hue / 30) % 12;
    return Math.round(255 * (0.45 - 0.3 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return `#${[0, 8, 4].map((shift) => channel(shift).toString(16).padStart(2, "0")).join("")}`;
}

function hueOf(colour) {
  const [r, g, b] = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16) / 255);
  const most = Math.max(r, g, b);
  const range = most - Math.min(r, g, b);
  if (range < GREY) return { hue: 0, grey: true };
  const sixth = most === r ? ((g - b) / range + 6) % 6 : most === g ? (b - r) / range + 2 : (r - g) / range + 4;
  return { hue: Math.round(sixth * 60), grey: false };
}

/** The keys of each label: a digit for the first ten, and the first letter of its name that is free. */
export function keysOf(names) {
  const free = new Set();
  return names.map((name, place) => {
    const letters = Array.from(name.toLowerCase()).filter((each) => /\p{L}/u.test(each));
    const letter = letters.find((each) => !TAKEN.includes(each) && !free.has(each)) ?? null;
    free.add(letter);
    return { name, digit: place < 10 ? String((place + 1) % 10) : null, letter };
  });
}
