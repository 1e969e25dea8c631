// React hooks over the LiveHub. Each hook subscribes to the data that it returns.
import { createContext, type ReactNode, useContext, useEffect, useSyncExternalStore } from "react";
import type { Job, LogLine } from "../gen/sentinel/jobs/v1/job_pb";
import type { WatchSummary } from "../gen/sentinel/jobs/v1/job_service_pb";
import type { ConnectionState, LiveHub } from "./hub";

const Context = createContext<LiveHub | undefined>(undefined);

export function LiveProvider({ hub, children }: { hub: LiveHub; children: ReactNode }) {
  return <Context.Provider value={hub}>{children}</Context.Provider>;
}

export function useHub(): LiveHub {
  const hub = useContext(Context);
  if (!hub) throw new Error("useHub requires a LiveProvider");
  return hub;
}

/** Follows a job and returns its latest version, or undefined before it is known. */
export function useJob(id: string, options: { logs?: boolean } = {}): Job | undefined {
  const hub = useHub();
  const logs = options.logs ?? false;
  useEffect(() => hub.follow({ ids: [id], logs }), [hub, id, logs]);
  return useSyncExternalStore(hub.subscribe, () => hub.job(id));
}

/** Follows many jobs. Each row reads its own job with `useCachedJob`. */
export function useFollowJobs(ids: readonly string[]): void {
  const hub = useHub();
  const key = ids.join(" ");
  useEffect(() => hub.follow({ ids: key === "" ? [] : key.split(" ") }), [hub, key]);
}

/** Returns the latest known version of a job without following it. */
export function useCachedJob(id: string): Job | undefined {
  const hub = useHub();
  return useSyncExternalStore(hub.subscribe, () => hub.job(id));
}

/** Returns the statistics of all queues, which the server sends once per second. */
export function useSummary(): WatchSummary | undefined {
  const hub = useHub();
  useEffect(() => hub.follow({}), [hub]);
  return useSyncExternalStore(hub.subscribe, hub.summary);
}

export function useConnection(): ConnectionState {
  const hub = useHub();
  return useSyncExternalStore(hub.subscribe, hub.connection);
}

/** Returns the number of streams so far. A new stream may have missed earlier log lines. */
export function useStreamCount(): number {
  const hub = useHub();
  return useSyncExternalStore(hub.subscribe, hub.streamCount);
}

/** Calls `onLines` with new log lines of a job. Earlier lines are available through ReadLogs. */
export function useJobLogs(id: string, onLines: (lines: readonly LogLine[]) => void): void {
  const hub = useHub();
  useEffect(() => hub.onLogs((jobId, lines) => jobId === id && onLines(lines)), [hub, id, onLines]);
}
