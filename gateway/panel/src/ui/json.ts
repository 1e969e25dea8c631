// JSON as text. Values never become JavaScript numbers, so 12345678901234567890 and 1.10 are
// shown and sent unchanged.

/** A JSON token: a string, a punctuation mark, or a literal. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Text that is nested deeper is not formatted. */
const DEPTH_MAX = 200;

/** Formats JSON with indentation. Returns undefined when the text is not JSON. */
export function formatJson(text: string): string | undefined {
  if (jsonError(text)) return undefined;
  const tokens = text.match(TOKEN) ?? [];
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [index, token] of tokens.entries()) {
    const previous = tokens[index - 1];
    if (token === "}" || token === "]") {
      depth -= 1;
      const isEmpty = previous === "{" || previous === "[";
      out += isEmpty ? token : line() + token;
      continue;
    }
    if (previous === "{" || previous === "[" || previous === ",") out += line();
    out += token === ":" ? ": " : token;
    if (token === "{" || token === "[") {
      depth += 1;
      if (depth > DEPTH_MAX) return text;
    }
  }
  return out;
}

export interface JsonError {
  line: number;
  column: number;
  message: string;
}

/** Returns why and where a text is not JSON, or undefined when it is. */
export function jsonError(text: string): JsonError | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    // Browsers report the position in different formats or not at all, so it is computed here.
    const message = error instanceof Error ? error.message : String(error);
    const lines = text.slice(0, scan(text).errorAt ?? text.length).split("\n");
    return {
      line: lines.length,
      column: (lines.at(-1)?.length ?? 0) + 1,
      message: message.replace(POSITION, ""),
    };
  }
}

const POSITION = / (in JSON )?at (position|line) \d+.*$/;

/** Returns the members of an object by name, or the items of an array by index, each with its
 * original text. Returns undefined when the text is not an object or an array. */
export function jsonMembers(text: string): Map<string, string> | undefined {
  const { errorAt, members } = scan(text);
  return errorAt === undefined && /^\s*[[{]/.test(text) ? members : undefined;
}

const WHITESPACE = /[ \t\n\r]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON strings exclude control characters
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/y;
const SCALAR = new RegExp(
  `${STRING.source}|-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][+-]?\\d+)?|true|false|null`,
  "y",
);

/** Returns the members of the outermost value, and the position of the first syntax error. */
function scan(text: string): { errorAt: number | undefined; members: Map<string, string> } {
  const members = new Map<string, string>();
  const open: string[] = [];
  // The assertion keeps the union type, because the compiler does not see the assignment in `end`.
  let expect = "value" as "value" | "value or end" | "name" | "name or end" | "after";
  let at = 0;
  let member = { name: "", from: 0 };
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  const end = () => {
    expect = "after";
    if (open.length === 1) members.set(member.name, text.slice(member.from, at));
  };
  for (;;) {
    take(WHITESPACE);
    const mark = text[at];
    const inside = open.at(-1);
    if (mark === undefined) {
      const isComplete = expect === "after" && open.length === 0;
      return { errorAt: isComplete ? undefined : at, members };
    }
    const closes = inside === "{" ? "}" : "]";
    const mayClose = expect === "after" || expect.endsWith("or end");
    if (mayClose && inside !== undefined && mark === closes) {
      open.pop();
      at += 1;
      end();
    } else if (expect === "after") {
      if (inside === undefined || mark !== ",") return { errorAt: at, members };
      expect = inside === "{" ? "name" : "value";
      at += 1;
    } else if (expect.startsWith("name")) {
      const name = take(STRING);
      take(WHITESPACE);
      if (name === undefined || text[at] !== ":") return { errorAt: at, members };
      at += 1;
      take(WHITESPACE);
      if (open.length === 1) member = { name: String(JSON.parse(name)), from: at };
      expect = "value";
    } else {
      if (open.length === 1 && inside === "[") member = { name: String(members.size), from: at };
      if (mark === "{" || mark === "[") {
        open.push(mark);
        at += 1;
        expect = mark === "{" ? "name or end" : "value or end";
      } else if (take(SCALAR) === undefined) return { errorAt: at, members };
      else end();
    }
  }
}

/** Decodes UTF-8. Returns undefined when the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
