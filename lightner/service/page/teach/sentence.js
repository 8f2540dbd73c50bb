// The sentence that is being labelled: a list box of its words. Choosing words by mouse, touch and keyboard, and the
// spans on them. Knows no service.

import { at, element } from "./document.js";
import { paint } from "./colours.js";
import { covering, inCharacters, inWords, nested, placed, underline, without } from "./spans.js";

export class Sentence {
  #root;
  #changed;
  #characters = [];
  #tokens = [];
  #spans = [];
  #past = [];
  #words = [];
  #chosen = { anchor: 0, cursor: 0, several: false };
  #dragging = null;

  /** `changed` is called after each change of spans by the person. */
  constructor(root, changed) {
    this.#root = root;
    this.#changed = changed;
    root.addEventListener("keydown", (event) => this.#move(event));
    root.addEventListener("pointerdown", (event) => this.#press(event));
    root.addEventListener("pointermove", (event) => this.#drag(event));
    root.addEventListener("pointerup", (event) => this.#release(event));
    root.addEventListener("pointercancel", () => this.#cancel());
    root.addEventListener("dblclick", (event) => this.#single(event));
  }

  /** Show a text with spans in characters; `past` are earlier ones that undo returns to. */
  show(text, tokens, spans, past = []) {
    this.#characters = Array.from(text);
    this.#tokens = tokens;
    this.#spans = inWords(spans, tokens);
    this.#past = past.map((each) => inWords(each, tokens));
    this.#chosen = { anchor: 0, cursor: 0, several: false };
    this.#render();
  }

  /** The spans in characters. */
  get spans() {
    return inCharacters(this.#spans, this.#tokens);
  }

  focus() {
    this.#root.focus({ preventScroll: true });
  }

  /** Whether there are labels within one another. */
  get nested() {
    return nested(this.#spans);
  }

  /** Give the chosen words a label, in place of those that they have; with `nest` those within it, and around it, stay.
   *  Returns whether there are words. */
  label(name, nest = false) {
    if (this.#tokens.length === 0) return false;
    const range = this.#range();
    this.#become(placed(this.#spans, { ...range, label: name, score: null }, nest));
    this.#choose(range.end - 1, range.end - 1, false);
    return true;
  }

  /** Take the labels off the chosen words; returns whether they had any. */
  remove() {
    const left = without(this.#spans, this.#range());
    if (left.length === this.#spans.length) return false;
    this.#become(left);
    return true;
  }

  /** Return to the spans before the last change; returns whether there was one. */
  undo() {
    if (this.#past.length === 0) return false;
    this.#spans = this.#past.pop();
    this.#render();
    this.#changed();
    return true;
  }

  /** Each entity in words, for ears. */
  said() {
    const parts = this.#spans.map(({ first, end, label, score }) => {
      return `${this.#textOf(first, end)}: ${label}${score === null ? "" : `, ${score.toFixed(2)}`}`;
    });
    return parts.length === 0 ? "no labels" : parts.join("; ");
  }

  #textOf(first, end) {
    return this.#characters.slice(this.#tokens[first][0], this.#tokens[end - 1][1]).join("");
  }

  #become(spans) {
    this.#past.push(this.#spans);
    this.#spans = spans;
    this.#render();
    this.#changed();
  }

  /** The chosen words; a cursor inside a span means the whole span. */
  #range() {
    const { anchor, cursor, several } = this.#chosen;
    const span = several ? null : covering(this.#spans, cursor);
    if (span !== null) return { first: span.first, end: span.end };
    return { first: Math.min(anchor, cursor), end: Math.max(anchor, cursor) + 1 };
  }

  #render() {
    this.#words = [];
    const left = [...this.#spans];
    const last = this.#tokens.length;
    const nodes = this.#within({ first: 0, end: last, label: null }, left);
    const [start, end] = last > 0 ? [this.#tokens[0][0], this.#tokens[last - 1][1]] : [0, 0];
    this.#root.replaceChildren(this.#between(0, start), ...nodes, this.#between(end));
    this.#showChosen();
  }

  /** The words of a span with the spans within it, which are taken from the front of `left`, and what is between them. */
  #within({ first, end, label }, left) {
    const nodes = [];
    let word = first;
    while (word < end) {
      if (word > first) nodes.push(this.#between(this.#tokens[word - 1][1], this.#tokens[word][0]));
      if (left.length > 0 && left[0].first === word) {
        const span = left.shift();
        nodes.push(this.#marked(span, left));
        word = span.end;
      } else {
        nodes.push(this.#word(word, label));
        word += 1;
      }
    }
    return nodes;
  }

  #between(start, end = undefined) {
    return this.#characters.slice(start, end).join("");
  }

  #word(word, label) {
    const text = this.#textOf(word, word + 1);
    const node = element("span", { id: `word-${word}`, className: "word", role: "option" }, text);
    node.dataset.word = word;
    if (label !== null) node.ariaLabel = `${text}, ${label}`;
    this.#words.push(node);
    return node;
  }

  #marked(span, left) {
    const { label, score } = span;
    const mark = paint(element("mark", { role: "group", ariaLabel: label, dir: "auto" }), label);
    mark.append(...this.#within(span, left), element("bdi", { className: "label", ariaHidden: "true" }, label));
    if (score !== null) {
      mark.append(element("span", { className: "score", dir: "ltr", ariaHidden: "true" }, score.toFixed(2)));
    }
    return underline(mark);
  }

  #choose(anchor, cursor, several) {
    this.#chosen = { anchor, cursor, several };
    this.#showChosen();
  }

  #showChosen() {
    const { first, end } = this.#range();
    this.#words.forEach((node, word) => {
      node.ariaSelected = String(first <= word && word < end);
      node.classList.toggle("cursor", word === this.#chosen.cursor);
    });
    if (this.#words.length === 0) this.#root.removeAttribute("aria-activedescendant");
    else this.#root.setAttribute("aria-activedescendant", `word-${this.#chosen.cursor}`);
  }

  #move(event) {
    if (event.altKey || event.metaKey) return;
    const to = this.#target(event);
    if (to === null || this.#words.length === 0) return;
    event.preventDefault();
    const cursor = Math.max(0, Math.min(to, this.#words.length - 1));
    // Shift starts from the word of the cursor, not from the span around it, so that spans can be shortened.
    this.#choose(event.shiftKey ? this.#chosen.anchor : cursor, cursor, event.shiftKey);
    at(`word-${cursor}`).scrollIntoView({ block: "nearest" });
  }

  /** The word that a key leads to, or null. */
  #target({ key, ctrlKey }) {
    const { cursor } = this.#chosen;
    const forward = getComputedStyle(this.#root).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    if (key === "ArrowLeft" || key === "ArrowRight") {
      if (ctrlKey) return this.#otherSpan(key === forward);
      return cursor + (key === forward ? 1 : -1);
    }
    if (key === "ArrowUp" || key === "ArrowDown") return this.#otherLine(key === "ArrowDown");
    if (key === "Home") return 0;
    if (key === "End") return this.#words.length - 1;
    return key === "Escape" ? cursor : null;
  }

  #otherSpan(next) {
    const starts = this.#spans.map(({ first }) => first);
    const { cursor } = this.#chosen;
    return (next ? starts.find((each) => each > cursor) : starts.findLast((each) => each < cursor)) ?? cursor;
  }

  /** The word above or below: of the nearest other line the one that is nearest to the cursor. */
  #otherLine(below) {
    const from = this.#words[this.#chosen.cursor].getBoundingClientRect();
    const away = (box) => (below ? box.top - from.bottom : from.top - box.bottom);
    let best = { word: this.#chosen.cursor, line: Infinity, distance: Infinity };
    this.#words.forEach((node, word) => {
      const box = node.getBoundingClientRect();
      const line = Math.round(away(box));
      const distance = Math.abs(box.left + box.right - from.left - from.right);
      if (line < -1 || line > best.line + 1) return;
      if (line < best.line - 1 || distance < best.distance) best = { word, line, distance };
    });
    return best.word;
  }

  #wordAt(event) {
    const node = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-word], mark");
    if (!node || !this.#root.contains(node)) return null;
    return Number((node.dataset.word === undefined ? node.querySelector("[data-word]") : node).dataset.word);
  }

  #press(event) {
    if (event.button !== 0) return;
    const word = this.#wordAt(event);
    // Otherwise the browser would select text, and take the focus away.
    event.preventDefault();
    this.focus();
    if (word === null) return;
    this.#dragging = { from: word, before: this.#chosen, touch: event.pointerType === "touch" };
    if (event.shiftKey) return this.#choose(this.#chosen.anchor, word, true);
    if (!this.#dragging.touch) this.#choose(word, word, false);
  }

  #drag(event) {
    if (this.#dragging === null) return;
    const word = this.#wordAt(event);
    if (word === null || (word === this.#dragging.from && !this.#dragging.moved)) return;
    this.#dragging.moved = true;
    this.#choose(this.#dragging.from, word, true);
  }

  #release(event) {
    const drag = this.#dragging;
    this.#dragging = null;
    if (drag === null || drag.moved || !drag.touch) return;
    const word = this.#wordAt(event);
    if (word !== null) this.#tap(word);
  }

  /** Touch: a tap chooses a word, a second one chooses all from there; a third starts anew. */
  #tap(word) {
    const { anchor, cursor, several, tapped } = this.#chosen;
    const free = covering(this.#spans, word) === null;
    const second = tapped && !several && word !== cursor && free;
    this.#choose(second ? anchor : word, word, second);
    this.#chosen.tapped = free;
  }

  #cancel() {
    if (this.#dragging !== null) this.#chosen = this.#dragging.before;
    this.#dragging = null;
    this.#showChosen();
  }

  /** A double click chooses a single word, also inside a span. */
  #single(event) {
    const word = this.#wordAt(event);
    if (word !== null) this.#choose(word, word, true);
  }
}
