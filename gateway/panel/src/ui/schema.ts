// A form from a JSON Schema, where the schema is that of a flat object. What it can not show is
// left to the text.
import { partsOf, prettyJson } from "./json";

export interface SchemaField {
  name: string;
  kind: "text" | "integer" | "number" | "boolean" | "choice";
  isRequired: boolean;
  description: string;
  /** As it stands in an input. */
  initial: string;
  choices: readonly string[];
  min: number | undefined;
  max: number | undefined;
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const textIn = (from: Json, name: string): string =>
  typeof from[name] === "string" ? from[name] : "";
const numberIn = (from: Json, name: string): number | undefined =>
  typeof from[name] === "number" ? from[name] : undefined;

function parsed(schema: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(schema);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The fields, or undefined when the schema is more than a flat object. */
export function fieldsOf(schema: string): SchemaField[] | undefined {
  const root = parsed(schema);
  if (!root || !isObject(root["properties"])) return undefined;
  const written = partsOf(partsOf(schema)?.get("properties") ?? "");
  const required = new Set(Array.isArray(root["required"]) ? root["required"] : []);
  const fields: SchemaField[] = [];
  for (const [name, property] of Object.entries(root["properties"])) {
    const kind = isObject(property) ? kindOf(property) : undefined;
    if (!isObject(property) || kind === undefined) return undefined;
    const initial = partsOf(written?.get(name) ?? "")?.get("default");
    fields.push({
      name,
      kind,
      isRequired: required.has(name),
      description: textIn(property, "description"),
      initial: (initial === undefined ? undefined : inputOf(kind, initial)) ?? "",
      choices: Array.isArray(property["enum"]) ? property["enum"].map(String) : [],
      min: numberIn(property, "minimum"),
      max: numberIn(property, "maximum"),
    });
  }
  return fields;
}

/** Also of `["integer", "null"]`, which is how an optional member is often written. */
function kindOf(property: Json): SchemaField["kind"] | undefined {
  const types = (Array.isArray(property["type"]) ? property["type"] : [property["type"]]).filter(
    (type) => type !== "null",
  );
  if (types.length !== 1) return undefined;
  if (Array.isArray(property["enum"])) return types[0] === "string" ? "choice" : undefined;
  switch (types[0]) {
    case "string":
      return "text";
    case "integer":
      return "integer";
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    default:
      return undefined;
  }
}

/** A whole text for the schema: an example of it, or its defaults. */
export function exampleOf(schema: string): string {
  const first = partsOf(partsOf(schema)?.get("examples") ?? "")?.get("0");
  if (first !== undefined) return prettyJson(first) ?? first;
  const fields = fieldsOf(schema) ?? [];
  return jsonOf(fields, Object.fromEntries(fields.map(({ name, initial }) => [name, initial])));
}

/** A member as an input shows it; undefined where it is of another type. */
function inputOf(kind: SchemaField["kind"], member: string): string | undefined {
  if (member === "null") return "";
  if (kind === "text" || kind === "choice")
    return member.startsWith('"') ? String(JSON.parse(member)) : undefined;
  if (kind === "boolean") return /^(true|false)$/.test(member) ? member : undefined;
  return /^[-\d]/.test(member) ? member : undefined;
}

export interface FormValues {
  values: Readonly<Record<string, string>>;
  /** Members that are no fields, as they were written. */
  rest: ReadonlyMap<string, string>;
}

/** What the fields show of a text; undefined where they would not show it as it is. */
export function valuesIn(fields: readonly SchemaField[], text: string): FormValues | undefined {
  const rest = text.trim() === "" ? new Map<string, string>() : partsOf(text);
  if (!rest || text.trim().startsWith("[")) return undefined;
  const values: Record<string, string> = {};
  for (const { name, kind, choices } of fields) {
    const value = inputOf(kind, rest.get(name) ?? "null");
    if (value === undefined || /[\r\n]/.test(value)) return undefined;
    if (kind === "choice" && value !== "" && !choices.includes(value)) return undefined;
    values[name] = value;
    rest.delete(name);
  }
  return { values, rest };
}

const NOTHING: ReadonlyMap<string, string> = new Map();

/** Numbers go in as they were typed; what was left empty is left out. */
export function jsonOf(
  fields: readonly SchemaField[],
  values: Readonly<Record<string, string>>,
  rest: ReadonlyMap<string, string> = NOTHING,
): string {
  const members: string[] = [];
  for (const { name, kind } of fields) {
    const value = values[name] ?? "";
    const isText = kind === "text" || kind === "choice";
    if ((isText ? value : value.trim()) === "") continue;
    members.push(`${JSON.stringify(name)}: ${isText ? JSON.stringify(value) : value.trim()}`);
  }
  for (const [name, member] of rest) members.push(`${JSON.stringify(name)}: ${member}`);
  if (members.length === 0) return "{}";
  const text = `{${members.join(",")}}`;
  return prettyJson(text) ?? text;
}

/** By the name of the field. */
export function mistakesInFields(
  fields: readonly SchemaField[],
  values: Readonly<Record<string, string>>,
): Map<string, "required" | "integer" | "number" | "range"> {
  const found = new Map<string, "required" | "integer" | "number" | "range">();
  for (const { name, kind, isRequired, min, max } of fields) {
    const value = (values[name] ?? "").trim();
    if (value === "") {
      if (isRequired) found.set(name, "required");
      continue;
    }
    if (kind === "integer" && !/^-?(0|[1-9]\d*)$/.test(value)) found.set(name, "integer");
    else if (kind === "number" && !/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(value))
      found.set(name, "number");
    else if (kind === "integer" || kind === "number") {
      const number = Number(value);
      if ((min !== undefined && number < min) || (max !== undefined && number > max))
        found.set(name, "range");
    }
  }
  return found;
}
