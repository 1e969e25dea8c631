// Tests of forms from a JSON Schema, and of the JSON that they produce.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  examplePayload,
  fieldErrors,
  formToJson,
  formValues,
  schemaFields,
} from "../src/ui/schema";

const FLAT = `{
  "type": "object",
  "required": ["steps", "mode"],
  "properties": {
    "steps": {"type": "integer", "minimum": 1, "maximum": 100, "default": 12345678901234567890, "description": "how many"},
    "rate": {"type": ["number", "null"], "default": 1.10},
    "mode": {"type": "string", "enum": ["fast", "slow"]},
    "loud": {"type": "boolean", "default": false},
    "note": {"type": "string", "default": "é"}
  }
}`;
const fields = schemaFields(FLAT) ?? [];

test("a flat object becomes fields", () => {
  assert.deepEqual(
    fields.map(({ name, kind, isRequired, initial }) => [name, kind, isRequired, initial]),
    [
      ["steps", "integer", true, "12345678901234567890"],
      ["rate", "number", false, "1.10"],
      ["mode", "choice", true, ""],
      ["loud", "boolean", false, "false"],
      ["note", "text", false, "é"],
    ],
  );
  assert.deepEqual(fields[0] && [fields[0].min, fields[0].max, fields[0].description], [
    1,
    100,
    "how many",
  ]);
  assert.deepEqual(fields[2]?.choices, ["fast", "slow"]);
});

test("other schemas have no form", () => {
  const unsupported = [
    '{"type":"array"}',
    '{"properties":{"a":{"type":"object"}}}',
    '{"properties":{"a":{"type":["string","integer"]}}}',
    '{"properties":{"a":{"enum":[1,2],"type":"integer"}}}',
    '{"properties":{"a":true}}',
    "not a schema",
    "",
  ];
  for (const schema of unsupported) assert.equal(schemaFields(schema), undefined, schema);
});

test("the example payload is the first example, or else the defaults, with their digits", () => {
  assert.equal(
    examplePayload('{"examples":[{"n":9007199254740993}]}'),
    '{\n  "n": 9007199254740993\n}',
  );
  assert.equal(
    examplePayload(FLAT),
    '{\n  "steps": 12345678901234567890,\n  "rate": 1.10,\n  "loud": false,\n  "note": "é"\n}',
  );
  assert.equal(examplePayload(""), "{}");
});

test("a text passes through the form unchanged, including members without a field", () => {
  const text =
    '{"steps": 18446744073709551615, "mode": "slow", "more": {"steps": 1.0}, "rate": 2.50}';
  const shown = formValues(fields, text);
  assert.deepEqual(shown?.values, {
    steps: "18446744073709551615",
    rate: "2.50",
    mode: "slow",
    loud: "",
    note: "",
  });
  assert.deepEqual([...(shown?.rest ?? [])], [["more", '{"steps": 1.0}']]);
  const json = formToJson(fields, shown?.values ?? {}, shown?.rest);
  assert.match(json, /"steps": 18446744073709551615,/);
  assert.match(json, /"rate": 2\.50,/);
  assert.deepEqual(JSON.parse(json), JSON.parse(text));
});

test("a text that the form would change is not shown in the form", () => {
  for (const text of [
    '{"steps":"5"}',
    '{"note":{"a":1}}',
    '{"mode":"other"}',
    '{"note":"a\\nb"}',
    "[]",
    "5",
    "{",
  ]) {
    assert.equal(formValues(fields, text), undefined, text);
  }
  assert.equal(formValues(fields, " ")?.rest.size, 0);
});

test("values that violate the schema are errors of their fields", () => {
  const errors = (values: Record<string, string>) =>
    Object.fromEntries(fieldErrors(fields, values));
  assert.deepEqual(errors({}), { steps: "required", mode: "required" });
  assert.deepEqual(errors({ steps: "1.5", mode: "fast", rate: "x" }), {
    steps: "integer",
    rate: "number",
  });
  assert.deepEqual(errors({ steps: "101", mode: "fast" }), { steps: "range" });
  assert.deepEqual(errors({ steps: "0", mode: "fast" }), { steps: "range" });
  assert.deepEqual(errors({ steps: " 7 ", mode: "fast", rate: "-1.5e3" }), {});
  assert.deepEqual(errors({ steps: "07", mode: "fast", rate: ".5" }), {
    steps: "integer",
    rate: "number",
  });
});
