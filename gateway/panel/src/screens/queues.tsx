// The queues screen: all queues with their statistics, live.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useId, useState } from "react";
import { type Queue, QueueMode } from "../gen/sentinel/admin/v1/queue_service_pb";
import type { QueueSummary } from "../gen/sentinel/jobs/v1/job_service_pb";
import { durationMs, useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { useSummary } from "../live/hooks";
import type { Clients } from "../rpc/clients";
import { useClients } from "../rpc/context";
import { Dialog } from "../ui/dialog";
import { Empty, ErrorMessage, Loading } from "../ui/feedback";
import { useHeldRows, useHold, WaitingRows } from "../ui/hold";
import { stateName } from "../ui/states";
import { modeText, QueueActions } from "./queues/actions";
import { type Point, useRateHistory } from "./queues/rate-history";
import { QueueSettings } from "./queues/settings";
import { Sparkline } from "./queues/sparkline";
import { DEPTH_STATES, Depth, OldestReadyAge, PercentileTimes } from "./queues/statistics";

/** The number of queues that a summary includes. */
const QUEUES_MAX = 1_000;

async function allQueues(queues: Clients["queues"], signal: AbortSignal): Promise<Queue[]> {
  const found: Queue[] = [];
  let pageToken = "";
  do {
    const page = await queues.listQueues({ pageSize: QUEUES_MAX, pageToken }, { signal });
    found.push(...page.queues);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && found.length < QUEUES_MAX);
  return found;
}

export function QueuesScreen() {
  const texts = useTexts();
  const format = useFormat();
  const { queues } = useClients();
  const summary = useSummary();
  const history = useRateHistory(summary);
  const [isCreating, setCreating] = useState(false);
  const form = useId();
  // A queue that an enqueue created appears in the summary first, which triggers a new query.
  const names = summary?.queues.map(({ queue }) => queue).join(" ") ?? "";
  const list = useQuery({
    queryKey: ["queues", "all", names],
    queryFn: ({ signal }) => allQueues(queues, signal),
    placeholderData: (previous) => previous,
  });
  useEffect(() => {
    document.title = `${texts.queues.title} · ${texts.appName}`;
  }, [texts]);
  const hold = useHold({ onTouch: true });
  const { rows, ...order } = useHeldRows(
    list.data ?? [],
    ({ name }) => name,
    hold.isHeld,
    String(list.data === undefined),
  );
  const { fields } = texts;
  const windowMs = durationMs(summary?.window);
  return (
    <>
      <div className="head">
        <h1>{texts.queues.title}</h1>
        {windowMs !== undefined && (
          <span className="muted">{texts.queues.window(format.duration(windowMs))}</span>
        )}
        <button type="button" className="primary" onClick={() => setCreating(true)}>
          {texts.queues.newQueue}
        </button>
      </div>
      {list.isPending && <Loading />}
      {list.data && rows.length === 0 && <Empty title={texts.queues.empty} />}
      <div {...hold.props}>
        <WaitingRows {...order} />
        {rows.length > 0 && (
          <div className="scroll">
            <table className="cards steady queues" aria-label={texts.queues.title}>
              <thead>
                <tr>
                  <th scope="col">{fields.queue}</th>
                  {DEPTH_STATES.map((state) => (
                    <th key={state} scope="col" className="number count-column">
                      {texts.states[stateName(state)]}
                    </th>
                  ))}
                  <th scope="col" className="rates-column" title={texts.queues.ratesHint}>
                    {texts.queues.rates}
                  </th>
                  <th scope="col" className="count-column">
                    {texts.queues.oldest}
                  </th>
                  <th scope="col" className="times-column" title={texts.queues.percentiles}>
                    {texts.queues.wait}
                  </th>
                  <th scope="col" className="times-column" title={texts.queues.percentiles}>
                    {texts.queues.run}
                  </th>
                  <th scope="col" className="buttons-column">
                    <span className="visually-hidden">{fields.actions}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map((queue) => (
                  <QueueRow
                    key={queue.name}
                    queue={queue}
                    summary={summary?.queues.find((one) => one.queue === queue.name)}
                    points={history.get(queue.name) ?? []}
                    isHeld={hold.isAimedAt}
                  />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </div>
      {/* Below the list, so that it does not move the rows. */}
      {list.isError && <ErrorMessage error={list.error} onRetry={() => void list.refetch()} />}
      {list.data && list.data.length >= QUEUES_MAX && (
        <p className="muted after">{texts.queues.firstShown(format.number(list.data.length))}</p>
      )}
      {isCreating && (
        <Dialog
          title={texts.queues.newQueue}
          onClose={() => setCreating(false)}
          actions={
            <button type="submit" form={form} className="primary">
              {texts.actions.save}
            </button>
          }
        >
          <QueueSettings queue={undefined} id={form} onSaved={() => setCreating(false)} />
        </Dialog>
      )}
    </>
  );
}

function QueueRow({
  queue,
  summary,
  points,
  isHeld,
}: {
  queue: Queue;
  summary: QueueSummary | undefined;
  points: readonly Point[];
  isHeld: boolean;
}) {
  const texts = useTexts();
  const { fields } = texts;
  return (
    <tr>
      <td data-label={fields.queue}>
        <span>
          <Link to="/queues/$name" params={{ name: queue.name }}>
            {queue.name}
          </Link>
          {queue.mode !== QueueMode.OPEN && (
            <span className="mode"> {modeText(queue.mode, texts)}</span>
          )}
        </span>
      </td>
      {DEPTH_STATES.map((state) => (
        <td key={state} className="number" data-label={texts.states[stateName(state)]}>
          <Depth queue={queue.name} summary={summary} state={state} />
        </td>
      ))}
      <td data-label={texts.queues.rates}>
        <Sparkline name={queue.name} points={points} />
      </td>
      <td data-label={texts.queues.oldest}>
        <OldestReadyAge summary={summary} />
      </td>
      <td data-label={texts.queues.wait}>
        <PercentileTimes values={summary?.wait} />
      </td>
      <td data-label={texts.queues.run}>
        <PercentileTimes values={summary?.run} />
      </td>
      <td data-label={fields.actions}>
        <QueueActions queue={queue} small isHeld={isHeld} />
      </td>
    </tr>
  );
}
