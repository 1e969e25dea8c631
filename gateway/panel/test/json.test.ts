// JSON is shown and sent as it was written, and a mistake is shown where it is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mistakeIn, partsOf, prettyJson, textOfBytes } from "../src/ui/json";

test("numbers keep their digits when JSON is set out in lines", () => {
  const text =
    '{"id":12345678901234567890,"price":1.10,"far":1e400,"list":[-0.0,{"a":[]}],"none":{}}';
  assert.equal(
    prettyJson(text),
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

test("strings keep their escapes, marks and spaces", () => {
  const text = '{"a":"{ \\"b\\": [1,  2] } \\u00e9","":"\\\\"}';
  const shown = prettyJson(text) ?? "";
  assert.deepEqual(JSON.parse(shown), JSON.parse(text));
  assert.ok(shown.includes('"{ \\"b\\": [1,  2] } \\u00e9"'), shown);
});

test("what is no JSON is not set out", () => {
  for (const text of ["", "{", "{a:1}", "[1,]", "01", "nul", '"a', "1 2", "NaN"]) {
    assert.equal(prettyJson(text), undefined, text);
  }
});

test("text deeper than what is set out comes as it was", () => {
  const text = `${"[".repeat(300)}${"]".repeat(300)}`;
  assert.equal(prettyJson(text), text);
});

test("a mistake has its line and column, whatever the browser says", () => {
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
    const found = mistakeIn(text);
    assert.deepEqual([found?.line, found?.column], [line, column], text);
    assert.doesNotMatch(found?.message ?? "", /position/);
  }
  for (const text of ["1", " null ", '{"a":[{},[],"",-1.5E+3]}'])
    assert.equal(mistakeIn(text), undefined);
});

test("the parts of a value are as they were written, the last of a name counts", () => {
  assert.deepEqual(
    [...(partsOf('{"o":{"n":1},"n":1.10,"\\u0061": [1, 2] ,"n":18446744073709551615}') ?? [])],
    [
      ["o", '{"n":1}'],
      ["n", "18446744073709551615"],
      ["a", "[1, 2]"],
    ],
  );
  assert.deepEqual([...(partsOf('[{"a":1},[],"x"]') ?? []).values()], ['{"a":1}', "[]", '"x"']);
  assert.equal(partsOf("1"), undefined);
  assert.equal(partsOf('{"a":1'), undefined);
});

test("bytes are text only where they are UTF-8", () => {
  assert.equal(textOfBytes(new TextEncoder().encode("é")), "é");
  assert.equal(textOfBytes(new Uint8Array([0xff, 0xfe])), undefined);
});
