// A form from the JSON Schema of a kind. It supports flat objects; other payloads are edited as
// JSON text.
import { formatJson, jsonMembers } from "./json";

export interface SchemaField {
  name: string;
  kind: "text" | "integer" | "number" | "boolean" | "choice";
  isRequired: boolean;
  description: string;
  /** The default, as the text of an input. */
  initial: string;
  choices: readonly string[];
  min: number | undefined;
  max: number | undefined;
}

type JsonObject = Record<string, unknown>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const textIn = (from: JsonObject, name: string): string =>
  typeof from[name] === "string" ? from[name] : "";
const numberIn = (from: JsonObject, name: string): number | undefined =>
  typeof from[name] === "number" ? from[name] : undefined;

function parseObject(schema: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(schema);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the fields, or undefined when the schema is not that of a flat object. */
export function schemaFields(schema: string): SchemaField[] | undefined {
  const root = parseObject(schema);
  if (!root || !isObject(root.properties)) return undefined;
  const propertyTexts = jsonMembers(jsonMembers(schema)?.get("properties") ?? "");
  const required = new Set(Array.isArray(root.required) ? root.required : []);
  const fields: SchemaField[] = [];
  for (const [name, property] of Object.entries(root.properties)) {
    const kind = isObject(property) ? kindOf(property) : undefined;
    if (!isObject(property) || kind === undefined) return undefined;
    const initial = jsonMembers(propertyTexts?.get(name) ?? "")?.get("default");
    fields.push({
      name,
      kind,
      isRequired: required.has(name),
      description: textIn(property, "description"),
      initial: (initial === undefined ? undefined : inputValue(kind, initial)) ?? "",
      choices: Array.isArray(property.enum) ? property.enum.map(String) : [],
      min: numberIn(property, "minimum"),
      max: numberIn(property, "maximum"),
    });
  }
  return fields;
}

/** Takes also `["integer", "null"]`, a common way to write an optional member. */
function kindOf(property: JsonObject): SchemaField["kind"] | undefined {
  const types = (Array.isArray(property.type) ? property.type : [property.type]).filter(
    (type) => type !== "null",
  );
  if (types.length !== 1) return undefined;
  if (Array.isArray(property.enum)) return types[0] === "string" ? "choice" : undefined;
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

/** Returns the first example in the schema, or else an object of its defaults. */
export function examplePayload(schema: string): string {
  const first = jsonMembers(jsonMembers(schema)?.get("examples") ?? "")?.get("0");
  if (first !== undefined) return formatJson(first) ?? first;
  const fields = schemaFields(schema) ?? [];
  return formToJson(fields, Object.fromEntries(fields.map(({ name, initial }) => [name, initial])));
}

/** Returns the text of an input for the JSON of a member. Returns undefined when the member has
 * another type. */
function inputValue(kind: SchemaField["kind"], json: string): string | undefined {
  if (json === "null") return "";
  if (kind === "text" || kind === "choice")
    return json.startsWith('"') ? String(JSON.parse(json)) : undefined;
  if (kind === "boolean") return /^(true|false)$/.test(json) ? json : undefined;
  return /^[-\d]/.test(json) ? json : undefined;
}

export interface FormValues {
  values: Readonly<Record<string, string>>;
  /** The JSON of members without a field. */
  rest: ReadonlyMap<string, string>;
}

/** Returns the values of the form for a JSON text. Returns undefined when the form cannot
 * represent the text. */
export function formValues(fields: readonly SchemaField[], text: string): FormValues | undefined {
  const rest = text.trim() === "" ? new Map<string, string>() : jsonMembers(text);
  if (!rest || text.trim().startsWith("[")) return undefined;
  const values: Record<string, string> = {};
  for (const { name, kind, choices } of fields) {
    const value = inputValue(kind, rest.get(name) ?? "null");
    if (value === undefined || /[\r\n]/.test(value)) return undefined;
    if (kind === "choice" && value !== "" && !choices.includes(value)) return undefined;
    values[name] = value;
    rest.delete(name);
  }
  return { values, rest };
}

const NO_MEMBERS: ReadonlyMap<string, string> = new Map();

/** Returns the JSON of the form. Numbers keep the digits as typed; empty fields are left out. */
export function formToJson(
  fields: readonly SchemaField[],
  values: Readonly<Record<string, string>>,
  rest: ReadonlyMap<string, string> = NO_MEMBERS,
): string {
  const members: string[] = [];
  for (const { name, kind } of fields) {
    const value = values[name] ?? "";
    const isText = kind === "text" || kind === "choice";
    if ((isText ? value : value.trim()) === "") continue;
    members.push(`${JSON.stringify(name)}: ${isText ? JSON.stringify(value) : value.trim()}`);
  }
  for (const [name, json] of rest) members.push(`${JSON.stringify(name)}: ${json}`);
  if (members.length === 0) return "{}";
  const text = `{${members.join(",")}}`;
  return formatJson(text) ?? text;
}

export type FieldError = "required" | "integer" | "number" | "range";

/** Returns the errors by the name of the field. */
export function fieldErrors(
  fields: readonly SchemaField[],
  values: Readonly<Record<string, string>>,
): Map<string, FieldError> {
  const found = new Map<string, FieldError>();
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
