// The layout of a dependency graph: dependencies are to the left of their dependents.

/** A node and its place in the grid, counted from the top left. */
export interface GraphNode {
  id: string;
  column: number;
  row: number;
}

export interface Edge {
  /** The dependency. */
  from: string;
  /** The dependent. */
  to: string;
}

export interface GraphLayout {
  nodes: GraphNode[];
  edges: Edge[];
  columns: number;
  rows: number;
  /** Whether nodes are left out. */
  isTruncated: boolean;
}

/** Lays out `root` and its transitive dependencies: at most `max` nodes, nearest first. */
export function layoutGraph(
  root: string,
  dependenciesOf: (id: string) => readonly string[],
  max: number,
): GraphLayout {
  const found = new Set([root]);
  const edges: Edge[] = [];
  let isTruncated = false;
  // Iteration over a set includes elements that are added meanwhile.
  for (const to of found) {
    for (const from of new Set(dependenciesOf(to))) {
      if (!found.has(from) && found.size >= max) {
        isTruncated = true;
        continue;
      }
      found.add(from);
      edges.push({ from, to });
    }
  }
  const distances = longestPaths(root, edges, found.size);
  const columns = Math.max(...distances.values()) + 1;
  const heights: number[] = Array.from({ length: columns }, () => 0);
  const nodes = [...found].map((id) => {
    const column = columns - 1 - (distances.get(id) ?? 0);
    const row = heights[column] ?? 0;
    heights[column] = row + 1;
    return { id, column, row };
  });
  return { nodes, edges, columns, rows: Math.max(...heights), isTruncated };
}

/** Returns the length of the longest path from each node to `root`. With it, every edge points to
 * the right. A job can only depend on existing jobs, so the graph has no cycles; `maxRounds`
 * guarantees termination regardless. */
function longestPaths(
  root: string,
  edges: readonly Edge[],
  maxRounds: number,
): Map<string, number> {
  const distances = new Map([[root, 0]]);
  for (let round = 0, isStable = false; round < maxRounds && !isStable; round += 1) {
    isStable = true;
    for (const { from, to } of edges) {
      const distance = (distances.get(to) ?? 0) + 1;
      if (distance <= (distances.get(from) ?? 0)) continue;
      distances.set(from, distance);
      isStable = false;
    }
  }
  return distances;
}
