// The log of a job: earlier lines come from ReadLogs, new lines from the live stream.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Job, LogLine } from "../../gen/sentinel/jobs/v1/job_pb";
import { LogLevel } from "../../gen/sentinel/jobs/v1/job_pb";
import { timestampMs, useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { useJobLogs, useStreamCount } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { attemptKey } from "../../ui/attempt-key";
import { ErrorMessage } from "../../ui/feedback";
import { visibleLines } from "../../ui/visible";

const LINES_MAX = 1_000;

const LEVELS: Partial<Record<LogLevel, string>> = {
  [LogLevel.DEBUG]: "debug",
  [LogLevel.WARN]: "warn",
  [LogLevel.ERROR]: "error",
};

const keyOf = (line: LogLine): string =>
  `${line.run}/${line.attempt}/${line.seq}/${timestampMs(line.time)}`;

/** Appends lines without duplicates, and keeps the newest lines. */
function appendLines(before: readonly LogLine[], more: readonly LogLine[]): LogLine[] {
  const seen = new Set(before.map(keyOf));
  const all = [...before, ...more.filter((line) => !seen.has(keyOf(line)))];
  return all.length > LINES_MAX ? all.slice(-LINES_MAX) : all;
}

export function Log({ job }: { job: Job }) {
  const texts = useTexts();
  const format = useFormat();
  const { jobs } = useClients();
  const { id } = job;
  const attempt = attemptKey(job);
  const [lines, setLines] = useState<LogLine[]>([]);
  const [error, setError] = useState<unknown>();
  const streamCount = useStreamCount();
  const [retries, setRetries] = useState(0);
  useJobLogs(
    id,
    useCallback((more: readonly LogLine[]) => setLines((before) => appendLines(before, more)), []),
  );
  useEffect(() => {
    const controller = new AbortController();
    const read = async () => {
      let earlier: LogLine[] = [];
      for await (const { lines: page } of jobs.readLogs({ id }, { signal: controller.signal })) {
        earlier = appendLines(earlier, page);
      }
      // New lines may have arrived meanwhile. They follow the earlier lines.
      setLines((live) => appendLines(earlier, live));
      setError(undefined);
    };
    read().catch((thrown: unknown) => {
      if (!controller.signal.aborted) setError(thrown);
    });
    return () => controller.abort();
    // Read again after a new attempt or stream, because the old stream may have missed lines.
  }, [id, jobs, attempt, streamCount, retries]);

  const list = useRef<HTMLOListElement>(null);
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    const element = list.current;
    if (element && isAtEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  return (
    <section className="card">
      <h2>{texts.job.logs}</h2>
      {error !== undefined && (
        <ErrorMessage error={error} onRetry={() => setRetries((before) => before + 1)} />
      )}
      {lines.length === 0 && error === undefined && <p className="muted">{texts.job.noLogs}</p>}
      {lines.length === LINES_MAX && <p className="muted">{texts.job.earlierLogs}</p>}
      {lines.length > 0 && (
        <ol
          ref={list}
          className="log"
          tabIndex={0}
          aria-label={texts.job.logs}
          onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
            isAtEnd.current = scrollHeight - scrollTop - clientHeight < 24;
          }}
        >
          {lines.map((line) => (
            <li key={keyOf(line)} data-level={LEVELS[line.level]}>
              <span className="muted">{format.time(timestampMs(line.time) ?? 0)}</span>
              <span className="muted">{LEVELS[line.level] ?? "info"}</span>
              <span className="text mono">{visibleLines(line.text)}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
