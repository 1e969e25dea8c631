// All queues with what is in them, live.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useId, useState } from "react";
import { type Queue, QueueMode } from "../gen/sentinel/admin/v1/queue_service_pb";
import { spanOf, useFormat } from "../i18n/format";
import { useWords } from "../i18n/index";
import { useSummary } from "../live/hooks";
import type { Clients } from "../rpc/clients";
import { useClients } from "../rpc/context";
import { Dialog } from "../ui/dialog";
import { Empty, Failure, Loading } from "../ui/feedback";
import { nameOf } from "../ui/states";
import { modeWord, QueueActions } from "./queues/actions";
import { DEPTHS, Depth, Oldest, Times } from "./queues/figures";
import { useHistory } from "./queues/history";
import { QueueSettings } from "./queues/settings";
import { Spark } from "./queues/spark";

/** As many as one summary tells of. */
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

export function Queues() {
  const words = useWords();
  const format = useFormat();
  const { queues } = useClients();
  const summary = useSummary();
  const history = useHistory(summary);
  const [isNew, setNew] = useState(false);
  const form = useId();
  // A queue that a job has just made is in the summary first.
  const names = summary?.queues.map(({ queue }) => queue).join(" ") ?? "";
  const list = useQuery({
    queryKey: ["queues", "all", names],
    queryFn: ({ signal }) => allQueues(queues, signal),
    placeholderData: (before) => before,
  });
  useEffect(() => {
    document.title = `${words.queues.title} · ${words.appName}`;
  }, [words]);
  const { fields } = words;
  const span = spanOf(summary?.window);
  return (
    <>
      <div className="head">
        <h1>{words.queues.title}</h1>
        {span !== undefined && (
          <span className="quiet">{words.queues.window(format.span(span))}</span>
        )}
        <button type="button" className="primary" onClick={() => setNew(true)}>
          {words.queues.newQueue}
        </button>
      </div>
      {list.isPending && <Loading />}
      {list.isError && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.data?.length === 0 && <Empty title={words.queues.empty} />}
      {list.data && list.data.length > 0 && (
        <div className="scroll">
          <table className="cards" aria-label={words.queues.title}>
            <thead>
              <tr>
                <th scope="col">{fields.queue}</th>
                {DEPTHS.map((state) => (
                  <th key={state} scope="col" className="number">
                    {words.states[nameOf(state)]}
                  </th>
                ))}
                <th scope="col" title={words.queues.ratesHint}>
                  {words.queues.rates}
                </th>
                <th scope="col">{words.queues.oldest}</th>
                <th scope="col" title={words.queues.percentiles}>
                  {words.queues.wait}
                </th>
                <th scope="col" title={words.queues.percentiles}>
                  {words.queues.run}
                </th>
                <th scope="col">
                  <span className="visually-hidden">{fields.actions}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {list.data.map((queue) => {
                const figures = summary?.queues.find((one) => one.queue === queue.name);
                return (
                  <tr key={queue.name}>
                    <td data-label={fields.queue}>
                      <span>
                        <Link to="/queues/$name" params={{ name: queue.name }}>
                          {queue.name}
                        </Link>
                        {queue.mode !== QueueMode.OPEN && (
                          <span className="mode"> {modeWord(queue.mode, words)}</span>
                        )}
                      </span>
                    </td>
                    {DEPTHS.map((state) => (
                      <td key={state} className="number" data-label={words.states[nameOf(state)]}>
                        <Depth queue={queue.name} summary={figures} state={state} />
                      </td>
                    ))}
                    <td data-label={words.queues.rates}>
                      <Spark name={queue.name} points={history.get(queue.name) ?? []} />
                    </td>
                    <td data-label={words.queues.oldest}>
                      <Oldest summary={figures} />
                    </td>
                    <td data-label={words.queues.wait}>
                      <Times of={figures?.wait} />
                    </td>
                    <td data-label={words.queues.run}>
                      <Times of={figures?.run} />
                    </td>
                    <td data-label={fields.actions}>
                      <QueueActions queue={queue} small />
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {list.data && list.data.length >= QUEUES_MAX && (
        <p className="quiet after">{words.queues.first(format.number(list.data.length))}</p>
      )}
      {isNew && (
        <Dialog
          title={words.queues.newQueue}
          onClose={() => setNew(false)}
          actions={
            <button type="submit" form={form} className="primary">
              {words.actions.save}
            </button>
          }
        >
          <QueueSettings queue={undefined} id={form} onSaved={() => setNew(false)} />
        </Dialog>
      )}
    </>
  );
}
