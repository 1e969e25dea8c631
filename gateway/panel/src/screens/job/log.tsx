// What the handler logged: the lines from before by ReadLogs, those to come by the tab's stream.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Job, LogLine } from "../../gen/sentinel/jobs/v1/job_pb";
import { LogLevel } from "../../gen/sentinel/jobs/v1/job_pb";
import { millisOf, useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { useBegun, useJobLogs } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { Failure } from "../../ui/feedback";
import { phaseOf } from "../../ui/phase";

const LINES_MAX = 1_000;

const LEVELS: Partial<Record<LogLevel, string>> = {
  [LogLevel.DEBUG]: "debug",
  [LogLevel.WARN]: "warn",
  [LogLevel.ERROR]: "error",
};

const keyOf = (line: LogLine): string =>
  `${line.run}/${line.attempt}/${line.seq}/${millisOf(line.time)}`;

/** The newest, each once, in the order they were written. */
function joined(before: readonly LogLine[], more: readonly LogLine[]): LogLine[] {
  const seen = new Set(before.map(keyOf));
  const all = [...before, ...more.filter((line) => !seen.has(keyOf(line)))];
  return all.length > LINES_MAX ? all.slice(-LINES_MAX) : all;
}

export function Log({ job }: { job: Job }) {
  const words = useWords();
  const format = useFormat();
  const { jobs } = useClients();
  const { id } = job;
  const phase = phaseOf(job);
  const [lines, setLines] = useState<LogLine[]>([]);
  const [problem, setProblem] = useState<unknown>();
  const begun = useBegun();
  const [round, setRound] = useState(0);
  useJobLogs(
    id,
    useCallback((more: readonly LogLine[]) => setLines((before) => joined(before, more)), []),
  );
  useEffect(() => {
    const stop = new AbortController();
    const read = async () => {
      let kept: LogLine[] = [];
      for await (const { lines: some } of jobs.readLogs({ id }, { signal: stop.signal })) {
        kept = joined(kept, some);
      }
      // Those that came meanwhile follow those that were read.
      setLines((live) => joined(kept, live));
      setProblem(undefined);
    };
    read().catch((error: unknown) => {
      if (!stop.signal.aborted) setProblem(error);
    });
    return () => stop.abort();
    // A new state, or a new stream, may follow lines that were missed.
  }, [id, jobs, phase, begun, round]);

  const list = useRef<HTMLOListElement>(null);
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    const element = list.current;
    if (element && isAtEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  return (
    <section className="card">
      <h2>{words.job.logs}</h2>
      {problem !== undefined && (
        <Failure error={problem} again={() => setRound((before) => before + 1)} />
      )}
      {lines.length === 0 && problem === undefined && <p className="quiet">{words.job.noLogs}</p>}
      {lines.length === LINES_MAX && <p className="quiet">{words.job.moreLogs}</p>}
      {lines.length > 0 && (
        <ol
          ref={list}
          className="log"
          tabIndex={0}
          aria-label={words.job.logs}
          onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
            isAtEnd.current = scrollHeight - scrollTop - clientHeight < 24;
          }}
        >
          {lines.map((line) => (
            <li key={keyOf(line)} data-level={LEVELS[line.level]}>
              <span className="quiet">{format.clock(millisOf(line.time) ?? 0)}</span>
              <span className="quiet">{LEVELS[line.level] ?? "info"}</span>
              <span className="text mono">{line.text}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
