// Tests of the layout of dependency graphs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { layoutGraph } from "../src/screens/job/graph-layout";

const graph = (dependencies: Record<string, string[]>) => (id: string) => dependencies[id] ?? [];

test("a shared dependency is to the left of all its dependents", () => {
  const { nodes, edges, columns, rows, isTruncated } = layoutGraph(
    "end",
    graph({ end: ["a", "b"], a: ["b"], b: ["c"] }),
    60,
  );
  assert.deepEqual(nodes.map(({ id, column }) => `${column} ${id}`).toSorted(), [
    "0 c",
    "1 b",
    "2 a",
    "3 end",
  ]);
  assert.equal(edges.length, 4);
  assert.deepEqual([columns, rows, isTruncated], [4, 1, false]);
});

test("a graph over the limit keeps the nearest nodes and is marked as truncated", () => {
  const wide = Array.from({ length: 80 }, (_, index) => `w${index}`);
  const { nodes, edges, isTruncated } = layoutGraph("end", graph({ end: wide, w0: ["far"] }), 60);
  assert.equal(nodes.length, 60);
  assert.equal(edges.length, 59);
  assert.equal(isTruncated, true);
});

test("in random graphs every edge points to the right and no nodes overlap", () => {
  let state = 7;
  const randomBelow = (max: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % max;
  };
  for (let round = 0; round < 500; round += 1) {
    const jobs = 1 + randomBelow(40);
    const dependencies: Record<string, string[]> = {};
    for (let job = 1; job < jobs; job += 1) {
      dependencies[job] = Array.from({ length: randomBelow(4) }, () => String(randomBelow(job)));
    }
    const root = String(jobs - 1);
    const { nodes, edges, columns, rows } = layoutGraph(root, graph(dependencies), 60);
    const byId = new Map(nodes.map((node) => [node.id, node]));
    for (const { from, to } of edges) {
      const [left, right] = [byId.get(from)?.column ?? 99, byId.get(to)?.column ?? 0];
      assert.ok(left < right, `${from} to ${to}`);
    }
    assert.equal(new Set(nodes.map(({ column, row }) => `${column} ${row}`)).size, nodes.length);
    assert.ok(nodes.every(({ column, row }) => column < columns && row < rows));
  }
});

test("the layout of a cyclic graph terminates", () => {
  assert.equal(layoutGraph("a", graph({ a: ["b"], b: ["a"] }), 60).nodes.length, 2);
});
