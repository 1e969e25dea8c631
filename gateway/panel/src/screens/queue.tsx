// One queue: its figures, its settings, and what can be done to its jobs.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useId, useState } from "react";
import { QueueMode } from "../gen/sentinel/admin/v1/queue_service_pb";
import { useWords } from "../i18n/index";
import { useSummary } from "../live/hooks";
import { queueRoute } from "../router";
import { useClients } from "../rpc/context";
import { BULK_ACTIONS, BulkDialog, type BulkName } from "../ui/bulk";
import { Failure, Loading } from "../ui/feedback";
import { nameOf, STATES } from "../ui/states";
import { modeWord, QueueActions } from "./queues/actions";
import { Depth, Oldest, Times } from "./queues/figures";
import { useHistory } from "./queues/history";
import { QueueSettings } from "./queues/settings";
import { Spark } from "./queues/spark";

export function QueueScreen() {
  const { name } = queueRoute.useParams();
  return <OneQueue key={name} name={name} />;
}

function OneQueue({ name }: { name: string }) {
  const words = useWords();
  const { queues } = useClients();
  const summary = useSummary();
  const history = useHistory(summary);
  const [asks, setAsks] = useState<BulkName>();
  const form = useId();
  const query = useQuery({
    queryKey: ["queue", name],
    queryFn: ({ signal }) => queues.getQueue({ name }, { signal }),
  });
  useEffect(() => {
    document.title = `${name} · ${words.appName}`;
  }, [name, words]);
  const queue = query.data?.queue;
  const figures = summary?.queues.find((one) => one.queue === name);
  if (query.isError) return <Failure error={query.error} again={() => void query.refetch()} />;
  if (!queue) return <Loading />;
  return (
    <>
      <div className="head">
        <div>
          <h1>{name}</h1>
          {queue.description !== "" && <p className="quiet">{queue.description}</p>}
        </div>
        <span className={queue.mode === QueueMode.OPEN ? "quiet" : "mode"}>
          {modeWord(queue.mode, words)}
        </span>
        <QueueActions queue={queue} />
      </div>
      <div className="job-grid">
        <div>
          <section className="card">
            <h2>{words.queues.figures}</h2>
            <dl className="pairs">
              {STATES.map((state) => (
                <div key={state}>
                  <dt>{words.states[nameOf(state)]}</dt>
                  <dd>
                    <Depth queue={name} summary={figures} state={state} />
                  </dd>
                </div>
              ))}
              <div>
                <dt>{words.queues.rates}</dt>
                <dd>
                  <Spark name={name} points={history.get(name) ?? []} />
                </dd>
              </div>
              <div>
                <dt>{words.queues.oldest}</dt>
                <dd>
                  <Oldest summary={figures} />
                </dd>
              </div>
              <div>
                <dt title={words.queues.percentiles}>{words.queues.wait}</dt>
                <dd>
                  <Times of={figures?.wait} />
                </dd>
              </div>
              <div>
                <dt title={words.queues.percentiles}>{words.queues.run}</dt>
                <dd>
                  <Times of={figures?.run} />
                </dd>
              </div>
            </dl>
          </section>
        </div>
        <div>
          <section className="card">
            <h2>{words.queues.all}</h2>
            <div className="buttons">
              <Link className="button" to="/" search={{ queue: name }}>
                {words.queues.look}
              </Link>
              {BULK_ACTIONS.map((action) => (
                <button
                  key={action}
                  type="button"
                  className={action === "delete" ? "danger" : ""}
                  onClick={() => setAsks(action)}
                >
                  {words.bulk.titles[action]}
                </button>
              ))}
            </div>
          </section>
          <section className="card">
            <h2>{words.queues.settings}</h2>
            <QueueSettings queue={queue} id={form} onSaved={() => undefined} />
            <p className="after">
              <button type="submit" form={form} className="primary">
                {words.actions.save}
              </button>
            </p>
          </section>
        </div>
      </div>
      {asks && (
        <BulkDialog name={asks} search={{ queue: name }} onClose={() => setAsks(undefined)} />
      )}
    </>
  );
}
