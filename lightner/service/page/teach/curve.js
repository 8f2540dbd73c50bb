// F1 over time as a curve, with its figures in words.

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 480;
const HEIGHT = 160;
const LEFT = 34;
const BOTTOM = 22;
const TOP = 8;

/** The curve of points `{seconds, f1}`. */
export function curveOf(points) {
  const last = points.at(-1);
  const end = Math.max(last.seconds, 1);
  const x = (seconds) => LEFT + (seconds / end) * (WIDTH - LEFT - 8);
  const y = (f1) => TOP + (1 - f1) * (HEIGHT - BOTTOM - TOP);
  const made = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  made.setAttribute("aria-label", `F1 so far: ${last.f1.toFixed(2)} after ${Math.round(last.seconds)} seconds`);
  for (const f1 of [0, 0.5, 1]) {
    made.append(node("line", { class: "grid", x1: LEFT, x2: WIDTH - 8, y1: y(f1), y2: y(f1) }));
    made.append(node("text", { x: LEFT - 6, y: y(f1) + 4, "text-anchor": "end" }, f1.toFixed(1)));
  }
  made.append(node("text", { x: LEFT, y: HEIGHT - 4 }, "0 s"));
  made.append(node("text", { x: WIDTH - 8, y: HEIGHT - 4, "text-anchor": "end" }, `${Math.round(end)} s`));
  const line = points.map(({ seconds, f1 }) => `${x(seconds).toFixed(1)},${y(f1).toFixed(1)}`).join(" ");
  made.append(node("polyline", { class: "line", points: line }));
  made.append(node("circle", { class: "dot", cx: x(last.seconds), cy: y(last.f1), r: 4 }));
  return made;
}

function node(name, attributes, text = "") {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}
