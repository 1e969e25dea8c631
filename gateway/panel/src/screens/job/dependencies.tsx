// The graph of a job's transitive dependencies, live.
import { Link } from "@tanstack/react-router";
import { useMemo, useSyncExternalStore } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { useCachedJob, useFollowJobs, useHub } from "../../live/hooks";
import { shortId } from "../../ui/job-actions";
import { JobProgress, StateBadge } from "../../ui/job-status";
import { stateName } from "../../ui/states";
import { visible } from "../../ui/visible";
import { type Edge, type GraphLayout, type GraphNode, layoutGraph } from "./graph-layout";

/** Below the server's limit of 100 ids per stream, which the tab's other jobs share. */
const NODES_MAX = 60;

/** Sizes in pixels. */
const NODE = { width: 160, height: 76, gapX: 40, gapY: 12 } as const;

const left = ({ column }: GraphNode) => column * (NODE.width + NODE.gapX);
const top = ({ row }: GraphNode) => row * (NODE.height + NODE.gapY);
const position = (node: GraphNode) => ({
  left: left(node),
  top: top(node),
  width: NODE.width,
  height: NODE.height,
});

export function Dependencies({ job }: { job: Job }) {
  return (job.spec?.dependsOn.length ?? 0) > 0 && <Graph job={job} />;
}

function Graph({ job }: { job: Job }) {
  const texts = useTexts();
  const format = useFormat();
  const hub = useHub();
  const own = job.spec?.dependsOn ?? [];
  const dependenciesOf = (id: string) =>
    id === job.id ? own : (hub.job(id)?.spec?.dependsOn ?? []);
  // Serialized, so that the component renders again only when the layout changes.
  const json = useSyncExternalStore(hub.subscribe, () =>
    JSON.stringify(layoutGraph(job.id, dependenciesOf, NODES_MAX)),
  );
  const { nodes, edges, columns, rows, isTruncated } = useMemo(
    () => JSON.parse(json) as GraphLayout,
    [json],
  );
  useFollowJobs(
    useMemo(() => nodes.map(({ id }) => id).filter((id) => id !== job.id), [nodes, job.id]),
  );
  const width = columns * (NODE.width + NODE.gapX) - NODE.gapX;
  const height = rows * (NODE.height + NODE.gapY) - NODE.gapY;
  return (
    <section className="card">
      <h2>{texts.job.dependsOn}</h2>
      <div className="graph" tabIndex={0} role="group" aria-label={texts.job.dependsOn}>
        <div style={{ width, height }}>
          <svg width={width} height={height} aria-hidden="true">
            <Edges nodes={nodes} edges={edges} />
          </svg>
          <ul className="plain">
            {nodes.map((node) => (
              <li key={node.id} style={position(node)} data-self={node.id === job.id || undefined}>
                <JobNode id={node.id} />
              </li>
            ))}
          </ul>
        </div>
      </div>
      {isTruncated && <p className="muted">{texts.job.graphTruncated(format.number(NODES_MAX))}</p>}
    </section>
  );
}

function Edges({ nodes, edges }: { nodes: readonly GraphNode[]; edges: readonly Edge[] }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return edges.map((edge) => {
    const [from, to] = [byId.get(edge.from), byId.get(edge.to)];
    if (!from || !to) return null;
    const [x1, y1] = [left(from) + NODE.width, top(from) + NODE.height / 2];
    const [x2, y2] = [left(to), top(to) + NODE.height / 2];
    const bend = x2 - NODE.gapX / 2;
    return (
      <path
        key={`${edge.from} ${edge.to}`}
        d={`M${x1} ${y1}H${bend - 8}C${bend} ${y1} ${bend} ${y2} ${bend + 8} ${y2}H${x2}`}
      />
    );
  });
}

function JobNode({ id }: { id: string }) {
  const texts = useTexts();
  const hub = useHub();
  const job = useCachedJob(id);
  const isUnknown = useSyncExternalStore(hub.subscribe, () => hub.isUnknown(id));
  return (
    <>
      {job && <StateBadge state={stateName(job.state)} />}
      {isUnknown && <span className="muted">{texts.job.dependencyUnavailable}</span>}
      <Link className="strong" to="/jobs/$id" params={{ id }} title={id}>
        {job?.spec ? visible(job.spec.kind) : shortId(id)}
      </Link>
      {job?.progress && <JobProgress job={job} />}
      {job && !job.progress && <span className="mono muted">{shortId(id)}</span>}
    </>
  );
}
