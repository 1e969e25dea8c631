// JSON as text. Nothing here goes through numbers of JavaScript: 12345678901234567890 and 1.10
// are shown, and sent, as they were written.

/** A token of JSON: a string, a mark, or anything else between them. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Beyond it the text is shown as it came. */
const DEEPEST = 200;

/** Set out in lines; undefined when it is no JSON. */
export function prettyJson(text: string): string | undefined {
  if (mistakeIn(text)) return undefined;
  const tokens = text.match(TOKEN) ?? [];
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [index, token] of tokens.entries()) {
    const before = tokens[index - 1];
    if (token === "}" || token === "]") {
      depth -= 1;
      const isEmpty = before === "{" || before === "[";
      out += isEmpty ? token : line() + token;
      continue;
    }
    if (before === "{" || before === "[" || before === ",") out += line();
    out += token === ":" ? ": " : token;
    if (token === "{" || token === "[") {
      depth += 1;
      if (depth > DEEPEST) return text;
    }
  }
  return out;
}

export interface Mistake {
  line: number;
  column: number;
  message: string;
}

/** Where and why a text is no JSON; undefined when it is. */
export function mistakeIn(text: string): Mistake | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    // Browsers differ in whether, and how, they say the place: it is looked for here.
    const said = error instanceof Error ? error.message : String(error);
    const lines = text.slice(0, scan(text).wrongAt ?? text.length).split("\n");
    return {
      line: lines.length,
      column: (lines.at(-1)?.length ?? 0) + 1,
      message: said.replace(PLACE, ""),
    };
  }
}

const PLACE = / (in JSON )?at (position|line) \d+.*$/;

/** What an object or an array holds, by name or index, each as it was written. */
export function partsOf(text: string): Map<string, string> | undefined {
  const { wrongAt, parts } = scan(text);
  return wrongAt === undefined && /^\s*[[{]/.test(text) ? parts : undefined;
}

const WHITE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/y;
const SCALAR = new RegExp(
  `${STRING.source}|-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][+-]?\\d+)?|true|false|null`,
  "y",
);

/** The parts of the outermost value, and where the text stops being JSON. */
function scan(text: string): { wrongAt: number | undefined; parts: Map<string, string> } {
  const parts = new Map<string, string>();
  const open: string[] = [];
  // Asserted, since the compiler does not see that `end` changes it.
  let expect = "value" as "value" | "value or end" | "name" | "name or end" | "after";
  let at = 0;
  let part = { name: "", from: 0 };
  const take = (what: RegExp): string | undefined => {
    what.lastIndex = at;
    const found = what.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  const end = () => {
    expect = "after";
    if (open.length === 1) parts.set(part.name, text.slice(part.from, at));
  };
  for (;;) {
    take(WHITE);
    const mark = text[at];
    const inside = open.at(-1);
    if (mark === undefined)
      return { wrongAt: expect === "after" && open.length === 0 ? undefined : at, parts };
    const closes = inside === "{" ? "}" : "]";
    if (
      (expect === "after" || expect.endsWith("or end")) &&
      inside !== undefined &&
      mark === closes
    ) {
      open.pop();
      at += 1;
      end();
    } else if (expect === "after") {
      if (inside === undefined || mark !== ",") return { wrongAt: at, parts };
      expect = inside === "{" ? "name" : "value";
      at += 1;
    } else if (expect.startsWith("name")) {
      const name = take(STRING);
      take(WHITE);
      if (name === undefined || text[at] !== ":") return { wrongAt: at, parts };
      at += 1;
      take(WHITE);
      if (open.length === 1) part = { name: String(JSON.parse(name)), from: at };
      expect = "value";
    } else {
      if (open.length === 1 && inside === "[") part = { name: String(parts.size), from: at };
      if (mark === "{" || mark === "[") {
        open.push(mark);
        at += 1;
        expect = mark === "{" ? "name or end" : "value or end";
      } else if (take(SCALAR) === undefined) return { wrongAt: at, parts };
      else end();
    }
  }
}

/** As text, unless the bytes are none in UTF-8. */
export function textOfBytes(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
