// The hub for components. Each hook says what it needs and is drawn again when that changes.
import { createContext, type ReactNode, useContext, useEffect, useSyncExternalStore } from "react";
import type { Job, LogLine } from "../gen/sentinel/jobs/v1/job_pb";
import type { WatchSummary } from "../gen/sentinel/jobs/v1/job_service_pb";
import type { Line, LiveHub } from "./hub";

const Hub = createContext<LiveHub | undefined>(undefined);

export function LiveProvider({ hub, children }: { hub: LiveHub; children: ReactNode }) {
  return <Hub.Provider value={hub}>{children}</Hub.Provider>;
}

export function useHub(): LiveHub {
  const hub = useContext(Hub);
  if (!hub) throw new Error("there is no LiveProvider around this component");
  return hub;
}

/** The job as it is now; undefined until it is known. */
export function useJob(id: string, options: { logs?: boolean } = {}): Job | undefined {
  const hub = useHub();
  const logs = options.logs ?? false;
  useEffect(() => hub.follow({ ids: [id], logs }), [hub, id, logs]);
  return useSyncExternalStore(hub.subscribe, () => hub.job(id));
}

/** Follows many jobs; each row reads its own with `useKnownJob`. */
export function useFollow(ids: readonly string[]): void {
  const hub = useHub();
  const key = ids.join(" ");
  useEffect(() => hub.follow({ ids: key === "" ? [] : key.split(" ") }), [hub, key]);
}

/** A job that somebody else follows. */
export function useKnownJob(id: string): Job | undefined {
  const hub = useHub();
  return useSyncExternalStore(hub.subscribe, () => hub.job(id));
}

/** Figures of all queues, once a second. */
export function useSummary(): WatchSummary | undefined {
  const hub = useHub();
  useEffect(() => hub.follow({}), [hub]);
  return useSyncExternalStore(hub.subscribe, hub.summary);
}

/** How the stream is. */
export function useLine(): Line {
  const hub = useHub();
  return useSyncExternalStore(hub.subscribe, hub.line);
}

/** Another number whenever a stream has begun: what came before it may have been missed. */
export function useBegun(): number {
  const hub = useHub();
  return useSyncExternalStore(hub.subscribe, hub.begun);
}

/** Lines of a job as they come; those from before, ReadLogs has. */
export function useJobLogs(id: string, take: (lines: readonly LogLine[]) => void): void {
  const hub = useHub();
  useEffect(() => hub.onLogs((of, lines) => of === id && take(lines)), [hub, id, take]);
}
