// Files of texts: what kind a file is, and its texts. Knows neither the document nor the service.

// Where records of texts have them, in the order in which they are looked for.
const TEXT_FIELDS = ["text", "sentence", "content", "data", "body"];
const TABLES = /\.(csv|tsv)$/i;
// What only the service can read, and how much of it it takes.
const BINARY = /\.(parquet|arrow|spacy)$/i;
const MOST_BYTES = 3 * 2 ** 20;

/** A file's name and text, of a binary one its bytes in base64; throws an Error if it is neither. */
export async function readFile(file) {
  if (BINARY.test(file.name)) return readBinary(file);
  const bytes = await file.arrayBuffer();
  let content;
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${file.name} is no text in UTF-8`);
  }
  if (content.trim() === "") throw new Error(`${file.name} is empty`);
  return { name: nameFor(file.name), content, rows: TABLES.test(file.name) ? tableOf(content) : null, records: recordsOf(content) };
}

async function readBinary(file) {
  if (file.size === 0) throw new Error(`${file.name} is empty`);
  if (file.size > MOST_BYTES) throw new Error(`${file.name} has ${file.size} bytes, expected at most ${MOST_BYTES}`);
  const address = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${file.name}: ${reader.error.message}`));
    reader.readAsDataURL(file);
  });
  const base64 = address.slice(address.indexOf(",") + 1);
  return { name: nameFor(file.name), content: null, base64, bytes: file.size, rows: null, records: null };
}

/** A name that the service takes. */
function nameFor(name) {
  const plain = name.normalize("NFKD").replaceAll(/[^A-Za-z0-9._ -]/g, "-");
  return (/^[A-Za-z0-9]/.test(plain) ? plain : `file${plain}`).slice(-200);
}

/** What a file most likely has. */
export function kindOf({ name, content, rows, records }) {
  if (content === null) return "labelled";
  if (records !== null) return records.every(isPlain) ? "records" : "labelled";
  if (rows !== null) return "column";
  return /\.(txt|text|md)$/i.test(name) ? "text" : "labelled";
}

/** The records of a file with a JSON object or string a line, or of one array; null of any other file. */
function recordsOf(content) {
  try {
    const whole = JSON.parse(content);
    return Array.isArray(whole) && whole.every(isRecord) ? whole : isRecord(whole) ? [whole] : null;
  } catch {
    const lines = content.split("\n").filter((line) => line.trim() !== "");
    try {
      const records = lines.map((line) => JSON.parse(line));
      return records.every(isRecord) ? records : null;
    } catch {
      return null;
    }
  }
}

const isRecord = (value) => typeof value === "string" || (typeof value === "object" && value !== null && !Array.isArray(value));

/** Whether a record is a text without labels. */
function isPlain(record) {
  if (typeof record === "string") return true;
  if (textOf(record) === null) return false;
  return Object.values(record).every((value) => !Array.isArray(value) || value.length === 0);
}

/** The text of a record, or null. */
export function textOf(record) {
  if (typeof record === "string") return record;
  const name = TEXT_FIELDS.find((each) => typeof record[each] === "string");
  return name === undefined ? null : record[name];
}

/** The columns of a table: name, texts, and whether it looks most like texts. */
export function columnsOf(rows) {
  const width = Math.max(...rows.map((row) => row.length));
  const columns = Array.from({ length: width }, (_, place) => {
    const cells = rows.slice(1).map((row) => row[place] ?? "");
    return { name: rows[0][place] || `column ${place + 1}`, cells };
  });
  const longest = columns.map(({ cells }) => cells.reduce((sum, cell) => sum + cell.length, 0));
  const named = columns.findIndex(({ name }) => TEXT_FIELDS.includes(name.toLowerCase()));
  return { columns, best: named >= 0 ? named : longest.indexOf(Math.max(...longest)) };
}

/** The rows of a table (RFC 4180), separated by what its first line has most of: tabs, semicolons or commas. */
export function tableOf(content) {
  const first = content.slice(0, content.search(/[\r\n]|$/));
  const separator = ["\t", ";", ","].reduce((best, each) => (first.split(each).length > first.split(best).length ? each : best));
  const rows = [[]];
  // A cell in quotation marks with doubled ones inside, or one without any; then what ends it.
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^${separator}\\r\\n]*))(${separator}|\\r?\\n|\\r|$)`, "gy");
  for (let found; cell.lastIndex < content.length && (found = cell.exec(content)); ) {
    rows.at(-1).push(found[1] === undefined ? found[2] : found[1].replaceAll('""', '"'));
    if (found[3] !== separator) rows.push([]);
  }
  return rows.filter((row) => row.some((value) => value.trim() !== ""));
}

/** A text as parts that the service takes: whole paragraphs to split into sentences, or lines. */
export function partsOf(text, cut) {
  const parts = text.split(cut === "lines" ? /\r?\n/ : /\r?\n[^\S\n]*\r?\n/);
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/** Pieces of at most `most` characters: a long text is cut after a line, else a sentence, else a word. */
export function pieces(text, most) {
  const found = [];
  let rest = Array.from(text);
  while (rest.length > most) {
    const length = lengthOfPiece(rest.slice(0, most).join(""));
    found.push(rest.slice(0, length).join(""));
    rest = rest.slice(length);
  }
  return [...found, rest.join("")].map((each) => each.trim()).filter((each) => each !== "");
}

/** How many characters of a text come before its last good place to cut it. */
function lengthOfPiece(text) {
  for (const mark of ["\n", ". ", "。", " "]) {
    const place = text.lastIndexOf(mark);
    if (place > 0) return Array.from(text.slice(0, place + mark.length)).length;
  }
  return Array.from(text).length;
}
