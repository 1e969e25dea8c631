// A graph of dependencies reads from left to right, whatever its shape.
import assert from "node:assert/strict";
import { test } from "node:test";
import { layersOf } from "../src/screens/job/layers";

const graph = (waits: Record<string, string[]>) => (id: string) => waits[id] ?? [];

test("what is reached on two ways stands before both", () => {
  const { places, edges, columns, rows, isCut } = layersOf(
    "end",
    graph({ end: ["a", "b"], a: ["b"], b: ["c"] }),
    60,
  );
  assert.deepEqual(places.map(({ id, column }) => `${column} ${id}`).toSorted(), [
    "0 c",
    "1 b",
    "2 a",
    "3 end",
  ]);
  assert.equal(edges.length, 4);
  assert.deepEqual([columns, rows, isCut], [4, 1, false]);
});

test("a graph that is too large keeps what is near, and says so", () => {
  const wide = Array.from({ length: 80 }, (_, n) => `w${n}`);
  const { places, edges, isCut } = layersOf("end", graph({ end: wide, w0: ["far"] }), 60);
  assert.equal(places.length, 60);
  assert.equal(edges.length, 59);
  assert.equal(isCut, true);
});

test("every edge leads to the right and no two boxes lie upon each other", () => {
  let state = 7;
  const below = (max: number) => (state = (state * 48_271) % 2_147_483_647) % max;
  for (let round = 0; round < 500; round += 1) {
    const jobs = 1 + below(40);
    const waits: Record<string, string[]> = {};
    for (let job = 1; job < jobs; job += 1)
      waits[job] = Array.from({ length: below(4) }, () => String(below(job)));
    const { places, edges, columns, rows } = layersOf(String(jobs - 1), graph(waits), 60);
    const at = new Map(places.map((place) => [place.id, place]));
    for (const { from, to } of edges)
      assert.ok((at.get(from)?.column ?? 99) < (at.get(to)?.column ?? 0), `${from} to ${to}`);
    assert.equal(new Set(places.map(({ column, row }) => `${column} ${row}`)).size, places.length);
    assert.ok(places.every(({ column, row }) => column < columns && row < rows));
  }
});

test("a circle, which no server makes, ends all the same", () => {
  assert.equal(layersOf("a", graph({ a: ["b"], b: ["a"] }), 60).places.length, 2);
});
