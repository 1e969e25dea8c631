// What was found so far: slim rows, so that a hundred thousand of them are some megabytes.
import { Code, ConnectError } from "@connectrpc/connect";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { millisOf } from "../../i18n/format";
import { useClients } from "../../rpc/context";
import { type FilterSearch, filterOf, mistakesIn } from "../../ui/filter";
import { nameOf, type StateName } from "../../ui/states";

export const ROWS_MAX = 100_000;
const FIRST_PAGE = 100;
const NEXT_PAGE = 1_000;

export interface Row {
  id: string;
  kind: string;
  queue: string;
  state: StateName;
  createdMs: number;
  attempt: number;
  error: string;
}

export function rowOf(job: Job): Row {
  return {
    id: job.id,
    kind: job.spec?.kind ?? "",
    queue: job.spec?.queue ?? "",
    state: nameOf(job.state),
    createdMs: millisOf(job.createdAt) ?? 0,
    attempt: job.attempt,
    error: job.error?.message.slice(0, 120) ?? "",
  };
}

export interface Found {
  rows: readonly Row[];
  isLoading: boolean;
  hasMore: boolean;
  error: unknown;
  more(): void;
  /** Goes on after an error. */
  again(): void;
  /** Begins anew: jobs were changed. */
  refresh(): void;
}

interface Pages {
  rows: Row[];
  token: string;
  isFirst: boolean;
}

const NONE: Pages = { rows: [], token: "", isFirst: true };

export function useRows(search: FilterSearch): Found {
  const { jobs } = useClients();
  const filter = useMemo(() => filterOf(search), [search]);
  // Without its mistaken part it would find more than was meant.
  const isMistaken = mistakesIn(search).size > 0;
  const [pages, setPages] = useState<Pages>(NONE);
  const [isLoading, setLoading] = useState(false);
  const [error, setError] = useState<unknown>();
  const [round, setRound] = useState(0);
  const stop = useRef<AbortController>(undefined);

  const read = useCallback(
    async (before: Pages) => {
      const own = new AbortController();
      stop.current?.abort();
      stop.current = own;
      setLoading(true);
      setError(undefined);
      try {
        const pageSize = before.isFirst ? FIRST_PAGE : NEXT_PAGE;
        const page = await jobs.list(
          { filter, pageSize, pageToken: before.token },
          { signal: own.signal },
        );
        setPages({
          rows: [...before.rows, ...page.jobs.map(rowOf)],
          token: page.nextPageToken,
          isFirst: false,
        });
        setLoading(false);
      } catch (problem) {
        if (ConnectError.from(problem).code === Code.Canceled || own.signal.aborted) return;
        setError(problem);
        setLoading(false);
      }
    },
    [jobs, filter],
  );

  useEffect(() => {
    setPages(NONE);
    if (!isMistaken) void read(NONE);
    return () => stop.current?.abort();
  }, [read, round, isMistaken]);

  const refresh = () => setRound((before) => before + 1);
  const hasMore = pages.token !== "" && pages.rows.length < ROWS_MAX;
  return {
    rows: pages.rows,
    isLoading,
    hasMore,
    error,
    more: () => {
      if (hasMore && !isLoading && error === undefined) void read(pages);
    },
    again: () => (pages.isFirst ? refresh() : void read(pages)),
    refresh,
  };
}
