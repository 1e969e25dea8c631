// What a job waits for, live: the jobs it depends on, those these depend on, and so on.
import { Link } from "@tanstack/react-router";
import { useMemo, useSyncExternalStore } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { useFollow, useHub, useKnownJob } from "../../live/hooks";
import { JobProgress, StateMark } from "../../ui/marks";
import { nameOf } from "../../ui/states";
import { type Edge, layersOf, type Place } from "./layers";

/** With the job itself, and room for others that the tab follows: a stream takes 100. */
const BOXES_MAX = 60;

/** Pixels. */
const BOX = { width: 160, height: 76, across: 40, down: 12 } as const;

const left = ({ column }: Place) => column * (BOX.width + BOX.across);
const top = ({ row }: Place) => row * (BOX.height + BOX.down);
const spot = (place: Place) => ({
  left: left(place),
  top: top(place),
  width: BOX.width,
  height: BOX.height,
});

export function Dependencies({ job }: { job: Job }) {
  return (job.spec?.dependsOn.length ?? 0) > 0 && <Graph job={job} />;
}

function Graph({ job }: { job: Job }) {
  const words = useWords();
  const format = useFormat();
  const hub = useHub();
  const own = job.spec?.dependsOn ?? [];
  const waitsFor = (id: string) => (id === job.id ? own : (hub.job(id)?.spec?.dependsOn ?? []));
  // Grows as the jobs come in; a text, so that it is drawn again only when it has.
  const text = useSyncExternalStore(hub.subscribe, () =>
    JSON.stringify(layersOf(job.id, waitsFor, BOXES_MAX)),
  );
  const { places, edges, columns, rows, isCut } = useMemo(
    () => JSON.parse(text) as ReturnType<typeof layersOf>,
    [text],
  );
  useFollow(
    useMemo(() => places.map(({ id }) => id).filter((id) => id !== job.id), [places, job.id]),
  );
  const width = columns * (BOX.width + BOX.across) - BOX.across;
  const height = rows * (BOX.height + BOX.down) - BOX.down;
  return (
    <section className="card">
      <h2>{words.job.waitsFor}</h2>
      <div className="graph" tabIndex={0} role="group" aria-label={words.job.waitsFor}>
        <div style={{ width, height }}>
          <svg width={width} height={height} aria-hidden="true">
            <Ways places={places} edges={edges} />
          </svg>
          <ul className="plain">
            {places.map((place) => (
              <li key={place.id} style={spot(place)} data-self={place.id === job.id || undefined}>
                <Box id={place.id} />
              </li>
            ))}
          </ul>
        </div>
      </div>
      {isCut && <p className="quiet">{words.job.graphCut(format.number(BOXES_MAX))}</p>}
    </section>
  );
}

function Ways({ places, edges }: { places: readonly Place[]; edges: readonly Edge[] }) {
  const at = new Map(places.map((place) => [place.id, place]));
  return edges.map(({ from, to }) => {
    const [a, b] = [at.get(from), at.get(to)];
    if (!a || !b) return null;
    const [x1, y1, x2, y2] = [
      left(a) + BOX.width,
      top(a) + BOX.height / 2,
      left(b),
      top(b) + BOX.height / 2,
    ];
    const bend = x2 - BOX.across / 2;
    return (
      <path
        key={`${from} ${to}`}
        d={`M${x1} ${y1}H${bend - 8}C${bend} ${y1} ${bend} ${y2} ${bend + 8} ${y2}H${x2}`}
      />
    );
  });
}

function Box({ id }: { id: string }) {
  const words = useWords();
  const hub = useHub();
  const job = useKnownJob(id);
  const isUnknown = useSyncExternalStore(hub.subscribe, () => hub.isUnknown(id));
  return (
    <>
      {job && <StateMark state={nameOf(job.state)} />}
      {isUnknown && <span className="quiet">{words.job.dependencyGone}</span>}
      <Link className="strong" to="/jobs/$id" params={{ id }} title={id}>
        {job?.spec?.kind ?? id.slice(-8)}
      </Link>
      {job?.progress && <JobProgress job={job} />}
      {job && !job.progress && <span className="mono quiet">{id.slice(-8)}</span>}
    </>
  );
}
