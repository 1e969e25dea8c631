// When the parts of a job that are not on the stream are worth being read again.
import { useEffect, useRef, useState } from "react";
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";

/** Changes with each state and attempt, not with every checkpoint. */
export const phaseOf = (job: Job): string => `${job.run}/${job.attempt}/${job.state}`;

/** The newest value, but never more often than that. */
export function useCalm<T>(value: T, everyMs: number): T {
  const [shown, setShown] = useState(value);
  const last = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, last.current + everyMs - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      setShown(value);
    }, wait);
    return () => clearTimeout(timer);
  }, [value, everyMs]);
  return shown;
}
