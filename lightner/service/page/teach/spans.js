// Spans as values: words [first, end) with a label, of a text whose words are given as ranges of characters.
// Offsets of the service count code points, JavaScript's strings count UTF-16 units: texts are arrays of code points here.

/** Spans in characters as spans in words. */
export function inWords(spans, tokens) {
  return spans.map(({ start, end, label, score = null }) => ({
    first: tokens.findIndex(([, stop]) => stop > start),
    end: tokens.findLastIndex(([begin]) => begin < end) + 1,
    label,
    score,
  }));
}

/** Spans in words as the service takes them. */
export function inCharacters(spans, tokens) {
  return spans.map(({ first, end, label }) => ({ start: tokens[first][0], end: tokens[end - 1][1], label }));
}

export const covering = (spans, word) => spans.find(({ first, end }) => first <= word && word < end) ?? null;

/** The spans that share no word with a range. */
export const beside = (spans, range) => spans.filter(({ first, end }) => end <= range.first || range.end <= first);

/** The spans with one more, in place of those that share words with it. */
export function placed(spans, span) {
  return [...beside(spans, span), span].sort((one, other) => one.first - other.first);
}

const written = (spans) =>
  spans
    .map(({ start, end, label }) => JSON.stringify([start, end, label]))
    .sort()
    .join();

/** Whether spans in characters are the same, in any order. */
export const same = (some, others) => written(some) === written(others);

/** A text with its spans (in characters) marked by `mark`; a span that reaches into the one before is left out. */
export function marked(text, spans, mark) {
  const characters = Array.from(text);
  const nodes = [];
  let position = 0;
  for (const span of [...spans].sort((one, other) => one.start - other.start)) {
    if (span.start < position) continue;
    nodes.push(characters.slice(position, span.start).join(""));
    nodes.push(mark(characters.slice(span.start, span.end).join(""), span));
    position = span.end;
  }
  return [...nodes, characters.slice(position).join("")];
}
