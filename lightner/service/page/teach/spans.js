// Spans as values: words [first, end) with a label, of a text whose words are given as ranges of characters.
// Offsets of the service count code points, JavaScript's strings count UTF-16 units: texts are arrays of code points here.

/** Spans in characters as spans in words. */
export function inWords(spans, tokens) {
  const found = spans.map(({ start, end, label, score = null }) => ({
    first: tokens.findIndex(([, stop]) => stop > start),
    end: tokens.findLastIndex(([begin]) => begin < end) + 1,
    label,
    score,
  }));
  return outermostFirst(found);
}

/** Spans in words as the service takes them. */
export function inCharacters(spans, tokens) {
  return spans.map(({ first, end, label }) => ({ start: tokens[first][0], end: tokens[end - 1][1], label }));
}

/** The innermost span that a word is in, or null. */
export const covering = (spans, word) =>
  spans
    .filter(({ first, end }) => first <= word && word < end)
    .reduce((inner, each) => (inner === null || each.end - each.first <= inner.end - inner.first ? each : inner), null);

/** The spans that share no word with a range. */
export const beside = (spans, range) => spans.filter(({ first, end }) => end <= range.first || range.end <= first);

const holds = (outer, inner) => outer.first <= inner.first && inner.end <= outer.end;
const equal = (one, other) => one.first === other.first && one.end === other.end;

/** The spans without those on exactly these words; where there are none, without those that share words with them. */
export function without(spans, range) {
  const left = spans.filter((each) => !equal(each, range));
  return left.length < spans.length ? left : beside(spans, range);
}

/** The spans with one more, in place of those that share words with it; with `nest` only of those that cross it, or are
 *  on the same words. */
export function placed(spans, span, nest = false) {
  const inside = (each) => !equal(each, span) && (holds(each, span) || holds(span, each));
  const left = new Set(beside(spans, span));
  return outermostFirst([...spans.filter((each) => left.has(each) || (nest && inside(each))), span]);
}

/** Spans in order of position, each before those within it. */
export const outermostFirst = (spans) => [...spans].sort((one, other) => one.first - other.first || other.end - one.end);

/** Whether a span lies within another. */
export const nested = (spans) => spans.some((one) => spans.some((other) => one !== other && holds(one, other)));

const written = (spans) =>
  spans
    .map(({ start, end, label }) => JSON.stringify([start, end, label]))
    .sort()
    .join();

/** Whether spans in characters are the same, in any order. */
export const same = (some, others) => written(some) === written(others);

/** A text with its spans (in characters) marked by `mark`, also within one another. */
export function marked(text, spans, mark) {
  const characters = Array.from(text);
  const part = (start, end) => characters.slice(start, end).join("");
  const left = [...spans].sort((one, other) => one.start - other.start || other.end - one.end);
  const within = (start, end) => {
    const nodes = [];
    let position = start;
    while (left.length > 0 && left[0].start < end) {
      const span = left.shift();
      nodes.push(part(position, span.start), mark(within(span.start, span.end), span));
      position = span.end;
    }
    return [...nodes, part(position, end)];
  };
  return within(0, characters.length);
}

/** Give a mark a line below those of the marks within it. */
export function underline(mark) {
  const levels = [...mark.children].filter(({ nodeName }) => nodeName === "MARK").map((each) => Number(each.dataset.levels ?? 0) + 1);
  if (levels.length > 0) mark.dataset.levels = String(Math.max(...levels));
  mark.style.setProperty("--levels", mark.dataset.levels ?? "0");
  return mark;
}
