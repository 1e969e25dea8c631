// The search results so far. A row has only the fields of the list, so that a hundred thousand
// rows take a few MB.
import { Code, ConnectError } from "@connectrpc/connect";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { timestampMs } from "../../i18n/format";
import { useClients } from "../../rpc/context";
import { type FilterSearch, filterErrors, toJobFilter } from "../../ui/filter";
import { type StateName, stateName } from "../../ui/states";

export const ROWS_MAX = 100_000;
const FIRST_PAGE_SIZE = 100;
const PAGE_SIZE = 1_000;

export interface Row {
  id: string;
  kind: string;
  queue: string;
  state: StateName;
  createdMs: number;
  attempt: number;
  error: string;
}

export function toRow(job: Job): Row {
  return {
    id: job.id,
    kind: job.spec?.kind ?? "",
    queue: job.spec?.queue ?? "",
    state: stateName(job.state),
    createdMs: timestampMs(job.createdAt) ?? 0,
    attempt: job.attempt,
    error: job.error?.message.slice(0, 120) ?? "",
  };
}

export interface SearchResults {
  rows: readonly Row[];
  isLoading: boolean;
  hasMore: boolean;
  error: unknown;
  loadMore(): void;
  /** Continues after an error. */
  retry(): void;
  /** Starts over, after jobs were changed. */
  refresh(): void;
}

interface Pages {
  rows: Row[];
  token: string;
  isFirst: boolean;
}

const NO_PAGES: Pages = { rows: [], token: "", isFirst: true };

export function useSearchResults(search: FilterSearch): SearchResults {
  const { jobs } = useClients();
  const filter = useMemo(() => toJobFilter(search), [search]);
  // An invalid value is left out of the filter, which would then match more jobs.
  const isInvalid = filterErrors(search).size > 0;
  const [pages, setPages] = useState<Pages>(NO_PAGES);
  const [isLoading, setLoading] = useState(false);
  const [error, setError] = useState<unknown>();
  const [refreshes, setRefreshes] = useState(0);
  const abort = useRef<AbortController>(undefined);

  const read = useCallback(
    async (before: Pages) => {
      const controller = new AbortController();
      abort.current?.abort();
      abort.current = controller;
      setLoading(true);
      setError(undefined);
      try {
        const pageSize = before.isFirst ? FIRST_PAGE_SIZE : PAGE_SIZE;
        const page = await jobs.list(
          { filter, pageSize, pageToken: before.token },
          { signal: controller.signal },
        );
        setPages({
          rows: [...before.rows, ...page.jobs.map(toRow)],
          token: page.nextPageToken,
          isFirst: false,
        });
        setLoading(false);
      } catch (thrown) {
        if (ConnectError.from(thrown).code === Code.Canceled || controller.signal.aborted) return;
        setError(thrown);
        setLoading(false);
      }
    },
    [jobs, filter],
  );

  useEffect(() => {
    setPages(NO_PAGES);
    if (!isInvalid) void read(NO_PAGES);
    return () => abort.current?.abort();
  }, [read, refreshes, isInvalid]);

  const refresh = () => setRefreshes((before) => before + 1);
  const hasMore = pages.token !== "" && pages.rows.length < ROWS_MAX;
  return {
    rows: pages.rows,
    isLoading,
    hasMore,
    error,
    loadMore: () => {
      if (hasMore && !isLoading && error === undefined) void read(pages);
    },
    retry: () => (pages.isFirst ? refresh() : void read(pages)),
    refresh,
  };
}
