// Runs an action on all jobs that match a filter: counts them first, then changes them page by
// page. The user can stop after any page and resume later.
import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import {
  BulkAction,
  type BulkOutcome,
  type BulkRefusal,
} from "../gen/sentinel/jobs/v1/job_service_pb";
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { useClients } from "../rpc/context";
import { Dialog } from "./dialog";
import { ErrorMessage } from "./feedback";
import { type FilterSearch, filterErrors, splitList, toJobFilter } from "./filter";

export const BULK_ACTIONS = ["cancel", "retry", "delete"] as const;
export type BulkName = (typeof BULK_ACTIONS)[number];

const ACTIONS: Record<BulkName, BulkAction> = {
  cancel: BulkAction.CANCEL,
  retry: BulkAction.RETRY,
  delete: BulkAction.DELETE,
};

const PAGE_SIZE = 200;
const REFUSALS_SHOWN_MAX = 10;

interface BulkProgress {
  status: "confirming" | "running" | "stopped" | "done";
  pageToken: string;
  counts: ReadonlyMap<BulkOutcome, bigint>;
  refusals: readonly BulkRefusal[];
  error?: unknown;
}

const NOT_STARTED: BulkProgress = {
  status: "confirming",
  pageToken: "",
  counts: new Map(),
  refusals: [],
};

/** Returns whether the filter restricts the jobs and is valid. An invalid value is left out of
 * the filter, which would then match more jobs than intended. */
export function canRunBulk(search: FilterSearch): boolean {
  if (filterErrors(search).size > 0) return false;
  return [search.queue, search.kind, search.state, search.label].some(
    (text) => splitList(text).length > 0,
  );
}

export function BulkDialog({
  name,
  search,
  onClose,
}: {
  name: BulkName;
  search: FilterSearch;
  onClose: () => void;
}) {
  const texts = useTexts();
  const format = useFormat();
  const { jobs } = useClients();
  const [progress, setProgress] = useState<BulkProgress>(NOT_STARTED);
  const abort = useRef<AbortController>(undefined);
  const isAllowed = canRunBulk(search);
  const [action, filter] = [ACTIONS[name], toJobFilter(search)];
  const preview = useQuery({
    queryKey: ["bulk", name, search],
    queryFn: ({ signal }) => jobs.bulk({ action, filter, dryRun: true }, { signal }),
    enabled: isAllowed,
    gcTime: 0,
    staleTime: 0,
  });

  async function run(from: BulkProgress) {
    const controller = new AbortController();
    abort.current = controller;
    const { pageToken, counts, refusals } = from;
    let current: BulkProgress = { status: "running", pageToken, counts, refusals };
    setProgress(current);
    try {
      do {
        const page = await jobs.bulk(
          { action, filter, pageSize: PAGE_SIZE, pageToken: current.pageToken },
          { signal: controller.signal },
        );
        current = withPage(current, page);
        setProgress(current);
      } while (current.status === "running");
    } catch (error) {
      // Resuming repeats the interrupted page. Jobs that it has changed already are skipped.
      setProgress({ ...current, status: "stopped", ...(!controller.signal.aborted && { error }) });
    }
  }

  const matchedText = (count: number, isCapped: boolean): string => {
    const text = format.number(count);
    return texts.common.jobCount(count, isCapped ? texts.common.moreThan(text) : text);
  };
  const { status } = progress;
  const total = Number(preview.data?.matched ?? 0n);
  const stop = () => abort.current?.abort();
  return (
    <Dialog
      title={texts.bulk.titles[name]}
      onClose={() => {
        stop();
        onClose();
      }}
      actions={
        <>
          {status === "confirming" && total > 0 && (
            <button
              type="button"
              className={name === "retry" ? "primary" : "danger"}
              onClick={() => void run(progress)}
            >
              {texts.bulk.start[name]}
            </button>
          )}
          {status === "running" && (
            <button type="button" onClick={stop}>
              {texts.bulk.stop}
            </button>
          )}
          {status === "stopped" && (
            <button type="button" className="primary" onClick={() => void run(progress)}>
              {texts.bulk.resume}
            </button>
          )}
        </>
      }
    >
      {!isAllowed && (
        <p>{filterErrors(search).size > 0 ? texts.bulk.invalidFilter : texts.bulk.needsFilter}</p>
      )}
      {preview.isError && (
        <ErrorMessage error={preview.error} onRetry={() => void preview.refetch()} />
      )}
      {isAllowed && preview.isPending && <p role="status">{texts.bulk.counting}</p>}
      {status === "confirming" && preview.data && (
        <p>
          {total === 0
            ? texts.bulk.nothing
            : texts.bulk.confirm[name](matchedText(total, preview.data.capped))}
        </p>
      )}
      {status !== "confirming" && (
        <ProgressReport title={texts.bulk.titles[name]} progress={progress} total={total} />
      )}
      {progress.error !== undefined && <ErrorMessage error={progress.error} />}
      {progress.refusals.length > 0 && (
        <ul className="plain">
          {progress.refusals.map(({ id, error }) => (
            <li key={id}>
              <code>{id}</code> {error?.message}
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}

/** Returns the progress after one more page. */
function withPage(
  before: BulkProgress,
  page: {
    counts: readonly { outcome: BulkOutcome; count: bigint }[];
    refusals: readonly BulkRefusal[];
    nextPageToken: string;
  },
): BulkProgress {
  const counts = new Map(before.counts);
  for (const { outcome, count } of page.counts) {
    counts.set(outcome, (counts.get(outcome) ?? 0n) + count);
  }
  return {
    status: page.nextPageToken === "" ? "done" : "running",
    pageToken: page.nextPageToken,
    counts,
    refusals: [...before.refusals, ...page.refusals].slice(0, REFUSALS_SHOWN_MAX),
  };
}

function ProgressReport({
  title,
  progress: { status, counts },
  total,
}: {
  title: string;
  progress: BulkProgress;
  total: number;
}) {
  const texts = useTexts();
  const format = useFormat();
  const done = [...counts.values()].reduce((sum, count) => sum + count, 0n);
  const fraction = status === "done" ? 1 : Math.min(1, Number(done) / Math.max(1, total));
  const summary =
    status === "done"
      ? texts.bulk.done
      : status === "stopped"
        ? texts.bulk.stopped
        : texts.bulk.processed(format.number(done));
  return (
    <div role="status">
      <div className="progress" data-state={status === "done" ? "succeeded" : "running"}>
        <div
          role="progressbar"
          className="bar"
          aria-label={title}
          aria-valuemin={0}
          aria-valuemax={total}
          aria-valuenow={Math.min(Number(done), total)}
        >
          <span style={{ transform: `scaleX(${fraction})` }} />
        </div>
      </div>
      <p>{summary}</p>
      <ul>
        {[...counts].map(([outcome, count]) => (
          <li key={outcome}>
            {format.number(count)} {texts.bulk.outcomes[outcome]}
          </li>
        ))}
      </ul>
    </div>
  );
}
