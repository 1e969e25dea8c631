// Where the boxes of a graph of dependencies stand: what is waited for to the left of what waits.

/** A box, from the left and from the top. */
export interface Place {
  id: string;
  column: number;
  row: number;
}

/** From what is waited for to what waits. */
export interface Edge {
  from: string;
  to: string;
}

export interface Layers {
  places: Place[];
  edges: Edge[];
  columns: number;
  rows: number;
  /** Some are left out. */
  isCut: boolean;
}

/** What `root` waits for, what that waits for, and so on: `max` boxes, the nearest first. */
export function layersOf(
  root: string,
  waitsFor: (id: string) => readonly string[],
  max: number,
): Layers {
  const found = new Set([root]);
  const edges: Edge[] = [];
  let isCut = false;
  // A set goes on to what is added to it meanwhile.
  for (const to of found) {
    for (const from of new Set(waitsFor(to))) {
      if (!found.has(from) && found.size >= max) {
        isCut = true;
        continue;
      }
      found.add(from);
      edges.push({ from, to });
    }
  }
  const steps = longestWays(root, edges, found.size);
  const columns = Math.max(...steps.values()) + 1;
  const heights: number[] = Array.from({ length: columns }, () => 0);
  const places = [...found].map((id) => {
    const column = columns - 1 - (steps.get(id) ?? 0);
    const row = heights[column] ?? 0;
    heights[column] = row + 1;
    return { id, column, row };
  });
  return { places, edges, columns, rows: Math.max(...heights), isCut };
}

/** Every edge leads to the right then. A job names only jobs that were there before it, so there is
 * no circle; the number of rounds is bound all the same. */
function longestWays(root: string, edges: readonly Edge[], rounds: number): Map<string, number> {
  const steps = new Map([[root, 0]]);
  for (let round = 0, isSame = false; round < rounds && !isSame; round += 1) {
    isSame = true;
    for (const { from, to } of edges) {
      const step = (steps.get(to) ?? 0) + 1;
      if (step <= (steps.get(from) ?? 0)) continue;
      steps.set(from, step);
      isSame = false;
    }
  }
  return steps;
}
