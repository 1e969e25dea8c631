// Something done to all jobs of a filter: counted first, then page by page with a bar, to be
// stopped and gone on with at any page.
import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import {
  BulkAction,
  type BulkOutcome,
  type BulkRefusal,
} from "../gen/sentinel/jobs/v1/job_service_pb";
import { useFormat } from "../i18n/format";
import { useWords } from "../i18n/index";
import { useClients } from "../rpc/context";
import { Dialog } from "./dialog";
import { Failure } from "./feedback";
import { type FilterSearch, filterOf, listOf, mistakesIn } from "./filter";

export const BULK_ACTIONS = ["cancel", "retry", "delete"] as const;
export type BulkName = (typeof BULK_ACTIONS)[number];

const ACTIONS: Record<BulkName, BulkAction> = {
  cancel: BulkAction.CANCEL,
  retry: BulkAction.RETRY,
  delete: BulkAction.DELETE,
};

const PAGE = 200;
const REFUSALS_SHOWN = 10;

interface Step {
  is: "asked" | "running" | "stopped" | "done";
  token: string;
  counts: ReadonlyMap<BulkOutcome, bigint>;
  refusals: readonly BulkRefusal[];
  error?: unknown;
}

const FIRST: Step = { is: "asked", token: "", counts: new Map(), refusals: [] };

/** A part that is mistaken is left out of the filter, which then names more jobs than were meant. */
export function mayBulk(search: FilterSearch): boolean {
  if (mistakesIn(search).size > 0) return false;
  return [search.queue, search.kind, search.state, search.label].some(
    (text) => listOf(text).length > 0,
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
  const words = useWords();
  const format = useFormat();
  const { jobs } = useClients();
  const [step, setStep] = useState<Step>(FIRST);
  const stop = useRef<AbortController>(undefined);
  const may = mayBulk(search);
  const [action, filter] = [ACTIONS[name], filterOf(search)];
  const preview = useQuery({
    queryKey: ["bulk", name, search],
    queryFn: ({ signal }) => jobs.bulk({ action, filter, dryRun: true }, { signal }),
    enabled: may,
    gcTime: 0,
    staleTime: 0,
  });

  async function go(from: Step) {
    const own = new AbortController();
    stop.current = own;
    let at: Step = {
      is: "running",
      token: from.token,
      counts: from.counts,
      refusals: from.refusals,
    };
    setStep(at);
    try {
      do {
        const page = await jobs.bulk(
          { action, filter, pageSize: PAGE, pageToken: at.token },
          { signal: own.signal },
        );
        const counts = new Map(at.counts);
        for (const { outcome, count } of page.counts)
          counts.set(outcome, (counts.get(outcome) ?? 0n) + count);
        const refusals = [...at.refusals, ...page.refusals].slice(0, REFUSALS_SHOWN);
        at = {
          is: page.nextPageToken === "" ? "done" : "running",
          token: page.nextPageToken,
          counts,
          refusals,
        };
        setStep(at);
      } while (at.is === "running");
    } catch (error) {
      // The page that was under way is asked for once more: what it did is not done to a job twice.
      setStep({ ...at, is: "stopped", ...(!own.signal.aborted && { error }) });
    }
  }

  const total = Number(preview.data?.matched ?? 0n);
  const done = [...step.counts.values()].reduce((sum, count) => sum + count, 0n);
  const amount = (count: number) => {
    const text = format.number(count);
    return words.common.jobs(count, preview.data?.capped ? words.common.capped(text) : text);
  };
  return (
    <Dialog
      title={words.bulk.titles[name]}
      onClose={() => {
        stop.current?.abort();
        onClose();
      }}
      actions={
        <>
          {step.is === "asked" && total > 0 && (
            <button
              type="button"
              className={name === "retry" ? "primary" : "danger"}
              onClick={() => void go(step)}
            >
              {words.bulk.go[name]}
            </button>
          )}
          {step.is === "running" && (
            <button type="button" onClick={() => stop.current?.abort()}>
              {words.bulk.stop}
            </button>
          )}
          {step.is === "stopped" && (
            <button type="button" className="primary" onClick={() => void go(step)}>
              {words.bulk.goOn}
            </button>
          )}
        </>
      }
    >
      {!may && <p>{mistakesIn(search).size > 0 ? words.bulk.mistaken : words.bulk.needsFilter}</p>}
      {preview.isError && <Failure error={preview.error} again={() => void preview.refetch()} />}
      {may && preview.isPending && <p role="status">{words.bulk.counting}</p>}
      {step.is === "asked" && preview.data && (
        <p>{total === 0 ? words.bulk.nothing : words.bulk.will[name](amount(total))}</p>
      )}
      {step.is !== "asked" && (
        <div role="status">
          <div className="progress" data-state={step.is === "done" ? "succeeded" : "running"}>
            <div
              role="progressbar"
              className="bar"
              aria-label={words.bulk.titles[name]}
              aria-valuemin={0}
              aria-valuemax={total}
              aria-valuenow={Math.min(Number(done), total)}
            >
              <span
                style={{
                  transform: `scaleX(${step.is === "done" ? 1 : Math.min(1, Number(done) / Math.max(1, total))})`,
                }}
              />
            </div>
          </div>
          <p>
            {step.is === "done"
              ? words.bulk.done
              : step.is === "stopped"
                ? words.bulk.stopped
                : words.bulk.running(format.number(done))}
          </p>
          <ul>
            {[...step.counts].map(([outcome, count]) => (
              <li key={outcome}>
                {format.number(count)} {words.bulk.outcomes[outcome]}
              </li>
            ))}
          </ul>
        </div>
      )}
      {step.error !== undefined && <Failure error={step.error} />}
      {step.refusals.length > 0 && (
        <ul className="plain">
          {step.refusals.map(({ id, error }) => (
            <li key={id}>
              <code>{id}</code> {error?.message}
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
