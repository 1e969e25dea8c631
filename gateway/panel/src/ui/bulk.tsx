// Runs an action on all jobs that match a filter: counts them first, then changes them page by
// page. The user can stop after any page and resume later. The dialog restates the whole filter and
// the counts by state, and by default leaves out jobs on which the action would surprise.
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
import { bulkStates, defaultStates } from "./action-table";
import { Dialog } from "./dialog";
import { ErrorMessage } from "./feedback";
import { type FilterSearch, filterErrors, toJobFilter } from "./filter";
import { FilterSummary } from "./filter-summary";
import { parseList } from "./filter-text";
import { type BulkName, StateChoice } from "./state-choice";
import { parseState, type StateName } from "./states";
import { visible } from "./visible";

export const BULK_ACTIONS = ["cancel", "retry", "delete"] as const satisfies readonly BulkName[];

const ACTIONS: Record<BulkName, BulkAction> = {
  cancel: BulkAction.CANCEL,
  retry: BulkAction.RETRY,
  delete: BulkAction.DELETE,
};

const PAGE_SIZE = 200;
const REFUSALS_SHOWN_MAX = 10;

interface StateCount {
  count: number;
  /** There may be more. */
  isCapped: boolean;
}

const sum = (counts: readonly StateCount[]): StateCount => ({
  count: counts.reduce((total, { count }) => total + count, 0),
  isCapped: counts.some(({ isCapped }) => isCapped),
});

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
    (text) => text !== undefined && text.replaceAll(",", "").trim() !== "",
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
  const named = parseList(search.state).values;
  const [chosen, setChosen] = useState<ReadonlySet<StateName>>(
    () => new Set(defaultStates(name, named)),
  );
  const states = bulkStates(name, named).filter((state) => chosen.has(state));
  const action = ACTIONS[name];
  const filterOf = (only: readonly StateName[]) => ({
    ...toJobFilter(search),
    states: only.flatMap((state) => parseState(state) ?? []),
  });
  const preview = useQuery({
    queryKey: ["bulk", name, search],
    queryFn: ({ signal }) => {
      const count = async (state: StateName): Promise<[StateName, StateCount]> => {
        const filter = filterOf([state]);
        const { matched, capped } = await jobs.bulk({ action, filter, dryRun: true }, { signal });
        return [state, { count: Number(matched), isCapped: capped }];
      };
      return Promise.all(bulkStates(name, named).map(count));
    },
    enabled: isAllowed,
    gcTime: 0,
    staleTime: 0,
  });

  async function run(from: BulkProgress) {
    const controller = new AbortController();
    abort.current = controller;
    const { pageToken, counts, refusals } = from;
    const filter = filterOf(states);
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

  const countText = ({ count, isCapped }: StateCount): string =>
    isCapped ? texts.common.moreThan(format.number(count)) : format.number(count);
  const { status } = progress;
  const counted = preview.data ?? [];
  const found = counted.filter(([, { count }]) => count > 0);
  const total = sum(counted.filter(([state]) => chosen.has(state)).map(([, count]) => count));
  const confirmText = (): string => {
    if (found.length === 0) return texts.bulk.nothing;
    if (total.count === 0) return texts.bulk.noneChosen;
    return texts.bulk.confirm[name](texts.common.jobCount(total.count, countText(total)));
  };
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
          {status === "confirming" && total.count > 0 && (
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
      {isAllowed && <FilterSummary search={search} states={states} />}
      {status === "confirming" && found.length > 0 && (
        <StateChoice
          action={name}
          counts={new Map(found.map(([state, count]) => [state, countText(count)]))}
          chosen={chosen}
          onChange={setChosen}
        />
      )}
      {status === "confirming" && preview.data && <p role="status">{confirmText()}</p>}
      {status !== "confirming" && (
        <ProgressReport title={texts.bulk.titles[name]} progress={progress} total={total.count} />
      )}
      {progress.error !== undefined && <ErrorMessage error={progress.error} />}
      {progress.refusals.length > 0 && (
        <ul className="plain">
          {progress.refusals.map(({ id, error }) => (
            <li key={id}>
              <code>{id}</code> {visible(error?.message ?? "")}
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
