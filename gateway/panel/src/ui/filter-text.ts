// The text form of lists and labels, as people type them in filters and forms. One parser and one
// printer, so that a printed text always means the values that it was printed from.
//
// Items are separated by commas, or by lines. A label is key=value. An item, a key or a value with
// special characters is a JSON string: "a, b" or key="a, b".
import { hasInvisible, quoted } from "./visible";

export type Separator = "," | "\n";

export interface Parsed<Value> {
  values: Value[];
  /** The first item that is not valid, as typed. */
  invalid: string | undefined;
}

/** A JSON string at the beginning of a text. */
const QUOTED = /^"(?:[^"\\]|\\.)*"/s;

/** Returns the string at the beginning of the text, or undefined when it is not valid JSON. */
function readQuoted(text: string): { value: string; length: number } | undefined {
  const found = QUOTED.exec(text)?.[0];
  if (found === undefined) return undefined;
  try {
    return { value: String(JSON.parse(found)), length: found.length };
  } catch {
    return undefined;
  }
}

/** Splits at separators outside of quotes. A quote has its meaning at the beginning of an item,
 * and after the equals sign of a label. */
function splitItems(text: string, separator: Separator, isLabel: boolean): string[] {
  const items: string[] = [];
  let item = "";
  let isStart = true;
  let hasKey = false;
  let rest = text;
  while (rest !== "") {
    const length: number | undefined = isStart ? readQuoted(rest)?.length : undefined;
    const part: string = rest.slice(0, length ?? 1);
    rest = rest.slice(part.length);
    if (part === separator) {
      items.push(item);
      item = "";
      isStart = true;
      hasKey = false;
      continue;
    }
    const endsKey: boolean = isLabel && part === "=" && !hasKey;
    hasKey ||= endsKey;
    // White space before a quote is not part of the item.
    isStart = endsKey || (isStart && length === undefined && part.trim() === "");
    item += part;
  }
  return [...items, item].map((one) => one.trim()).filter((one) => one !== "");
}

/** Returns a plain or quoted text without its quotes, or undefined when a quote is not closed or
 * text follows it. */
function unquote(text: string): string | undefined {
  if (!text.startsWith('"')) return text;
  const string = readQuoted(text);
  return string?.length === text.length ? string.value : undefined;
}

const needsQuotes = (text: string, special: string): boolean =>
  text !== text.trim() ||
  text.startsWith('"') ||
  hasInvisible(text) ||
  [...special].some((character) => text.includes(character));

const print = (text: string, special: string): string =>
  needsQuotes(text, special) ? quoted(text) : text;

export function parseList(text: string | undefined): Parsed<string> {
  const parsed: Parsed<string> = { values: [], invalid: undefined };
  for (const item of splitItems(text ?? "", ",", false)) {
    const value = unquote(item);
    if (value === undefined || value === "") parsed.invalid ??= item;
    else parsed.values.push(value);
  }
  return parsed;
}

export function printList(values: readonly string[]): string {
  return values.map((value) => print(value, ",")).join(",");
}

/** A key that occurs twice is not valid: a job has one value for it. */
export function parseLabels(
  text: string | undefined,
  separator: Separator = ",",
): Parsed<[string, string]> {
  const parsed: Parsed<[string, string]> = { values: [], invalid: undefined };
  const keys = new Set<string>();
  for (const item of splitItems(text ?? "", separator, true)) {
    const keyEnd = item.startsWith('"') ? (readQuoted(item)?.length ?? -1) : item.indexOf("=");
    const key = keyEnd > 0 && item[keyEnd] === "=" ? unquote(item.slice(0, keyEnd).trim()) : "";
    const value = unquote(item.slice(keyEnd + 1).trim());
    if (key === undefined || key === "" || value === undefined || keys.has(key)) {
      parsed.invalid ??= item;
      continue;
    }
    keys.add(key);
    parsed.values.push([key, value]);
  }
  return parsed;
}

export function printLabels(
  labels: readonly (readonly [string, string])[],
  separator: Separator = ",",
): string {
  return labels
    .map(([key, value]) => `${print(key, `=${separator}`)}=${print(value, separator)}`)
    .join(separator);
}
