// A form from a JSON Schema, and the text that it makes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { exampleOf, fieldsOf, jsonOf, mistakesInFields, valuesIn } from "../src/ui/schema";

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
const fields = fieldsOf(FLAT) ?? [];

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

test("anything else is left to the text", () => {
  const more = [
    '{"type":"array"}',
    '{"properties":{"a":{"type":"object"}}}',
    '{"properties":{"a":{"type":["string","integer"]}}}',
    '{"properties":{"a":{"enum":[1,2],"type":"integer"}}}',
    '{"properties":{"a":true}}',
    "not a schema",
    "",
  ];
  for (const schema of more) assert.equal(fieldsOf(schema), undefined, schema);
});

test("an example of the schema comes first, then its defaults, digits kept", () => {
  assert.equal(exampleOf('{"examples":[{"n":9007199254740993}]}'), '{\n  "n": 9007199254740993\n}');
  assert.equal(
    exampleOf(FLAT),
    '{\n  "steps": 12345678901234567890,\n  "rate": 1.10,\n  "loud": false,\n  "note": "é"\n}',
  );
  assert.equal(exampleOf(""), "{}");
});

test("a text goes through the form unchanged, with members that are no fields", () => {
  const text =
    '{"steps": 18446744073709551615, "mode": "slow", "more": {"steps": 1.0}, "rate": 2.50}';
  const shown = valuesIn(fields, text);
  assert.deepEqual(shown?.values, {
    steps: "18446744073709551615",
    rate: "2.50",
    mode: "slow",
    loud: "",
    note: "",
  });
  assert.deepEqual([...(shown?.rest ?? [])], [["more", '{"steps": 1.0}']]);
  const back = jsonOf(fields, shown?.values ?? {}, shown?.rest);
  assert.match(back, /"steps": 18446744073709551615,/);
  assert.match(back, /"rate": 2\.50,/);
  assert.deepEqual(JSON.parse(back), JSON.parse(text));
});

test("a text that the form would change is not shown in it", () => {
  for (const text of [
    '{"steps":"5"}',
    '{"note":{"a":1}}',
    '{"mode":"other"}',
    '{"note":"a\\nb"}',
    "[]",
    "5",
    "{",
  ]) {
    assert.equal(valuesIn(fields, text), undefined, text);
  }
  assert.equal(valuesIn(fields, " ")?.rest.size, 0);
});

test("what the schema forbids is named at the field", () => {
  const wrong = (values: Record<string, string>) =>
    Object.fromEntries(mistakesInFields(fields, values));
  assert.deepEqual(wrong({}), { steps: "required", mode: "required" });
  assert.deepEqual(wrong({ steps: "1.5", mode: "fast", rate: "x" }), {
    steps: "integer",
    rate: "number",
  });
  assert.deepEqual(wrong({ steps: "101", mode: "fast" }), { steps: "range" });
  assert.deepEqual(wrong({ steps: "0", mode: "fast" }), { steps: "range" });
  assert.deepEqual(wrong({ steps: " 7 ", mode: "fast", rate: "-1.5e3" }), {});
  assert.deepEqual(wrong({ steps: "07", mode: "fast", rate: ".5" }), {
    steps: "integer",
    rate: "number",
  });
});
