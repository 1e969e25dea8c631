// Tests of JSON as text: it keeps its digits, and errors have a position.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8, formatJson, jsonError, jsonMembers } from "../src/ui/json";

test("formatting keeps the digits of numbers", () => {
  const text =
    '{"id":12345678901234567890,"price":1.10,"far":1e400,"list":[-0.0,{"a":[]}],"none":{}}';
  assert.equal(
    formatJson(text),
    [
      "{",
      '  "id": 12345678901234567890,',
      '  "price": 1.10,',
      '  "far": 1e400,',
      '  "list": [',
      "    -0.0,",
      "    {",
      '      "a": []',
      "    }",
      "  ],",
      '  "none": {}',
      "}",
    ].join("\n"),
  );
});

test("formatting keeps escapes, punctuation and spaces in strings", () => {
  const text = '{"a":"{ \\"b\\": [1,  2] } \\u00e9","":"\\\\"}';
  const shown = formatJson(text) ?? "";
  assert.deepEqual(JSON.parse(shown), JSON.parse(text));
  assert.ok(shown.includes('"{ \\"b\\": [1,  2] } \\u00e9"'), shown);
});

test("text that is not JSON is not formatted", () => {
  for (const text of ["", "{", "{a:1}", "[1,]", "01", "nul", '"a', "1 2", "NaN"]) {
    assert.equal(formatJson(text), undefined, text);
  }
});

test("text nested over the limit is returned unchanged", () => {
  const text = `${"[".repeat(300)}${"]".repeat(300)}`;
  assert.equal(formatJson(text), text);
});

test("an error has its line and column in every browser", () => {
  const cases: [string, number, number][] = [
    ["abc", 1, 1],
    ['{\n  "a": 1,\n  b: 2\n}', 3, 3],
    ['{\n  "a": 01\n}', 2, 9],
    ['{"a" 1}', 1, 6],
    ['{"a": 1', 1, 8],
    ["[1, 2,]", 1, 7],
    ["[1 2]", 1, 4],
    ['["a\nb"]', 1, 2],
    ["{}\n}", 2, 1],
    ["[}", 1, 2],
  ];
  for (const [text, line, column] of cases) {
    const found = jsonError(text);
    assert.deepEqual([found?.line, found?.column], [line, column], text);
    assert.doesNotMatch(found?.message ?? "", /position/);
  }
  for (const text of ["1", " null ", '{"a":[{},[],"",-1.5E+3]}'])
    assert.equal(jsonError(text), undefined);
});

test("members keep their original text, and the last of duplicate names wins", () => {
  assert.deepEqual(
    [...(jsonMembers('{"o":{"n":1},"n":1.10,"\\u0061": [1, 2] ,"n":18446744073709551615}') ?? [])],
    [
      ["o", '{"n":1}'],
      ["n", "18446744073709551615"],
      ["a", "[1, 2]"],
    ],
  );
  assert.deepEqual([...(jsonMembers('[{"a":1},[],"x"]') ?? []).values()], ['{"a":1}', "[]", '"x"']);
  assert.equal(jsonMembers("1"), undefined);
  assert.equal(jsonMembers('{"a":1'), undefined);
});

test("bytes that are not UTF-8 are not decoded", () => {
  assert.equal(decodeUtf8(new TextEncoder().encode("é")), "é");
  assert.equal(decodeUtf8(new Uint8Array([0xff, 0xfe])), undefined);
});
