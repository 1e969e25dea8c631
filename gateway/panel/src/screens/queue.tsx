// The screen of one queue: its statistics, its settings and bulk actions on its jobs.
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useEffect, useId, useState } from "react";
import { QueueMode } from "../gen/sentinel/admin/v1/queue_service_pb";
import { useTexts } from "../i18n/index";
import { useSummary } from "../live/hooks";
import { useClients } from "../rpc/context";
import { BULK_ACTIONS, BulkDialog } from "../ui/bulk";
import { ErrorMessage, Loading } from "../ui/feedback";
import { printList } from "../ui/filter-text";
import type { BulkName } from "../ui/state-choice";
import { STATES, stateName } from "../ui/states";
import { visible } from "../ui/visible";
import { modeText, QueueActions } from "./queues/actions";
import { useRateHistory } from "./queues/rate-history";
import { QueueSettings } from "./queues/settings";
import { Sparkline } from "./queues/sparkline";
import { Depth, OldestReadyAge, PercentileTimes } from "./queues/statistics";

const route = getRouteApi("/queues/$name");

export function QueueScreen() {
  const { name } = route.useParams();
  return <OneQueue key={name} name={name} />;
}

function OneQueue({ name }: { name: string }) {
  const texts = useTexts();
  const { queues } = useClients();
  const summary = useSummary();
  const history = useRateHistory(summary);
  const [bulkAction, setBulkAction] = useState<BulkName>();
  const form = useId();
  const query = useQuery({
    queryKey: ["queue", name],
    queryFn: ({ signal }) => queues.getQueue({ name }, { signal }),
  });
  useEffect(() => {
    document.title = `${visible(name)} · ${texts.appName}`;
  }, [name, texts]);
  const queue = query.data?.queue;
  const statistics = summary?.queues.find((one) => one.queue === name);
  if (query.isError)
    return <ErrorMessage error={query.error} onRetry={() => void query.refetch()} />;
  if (!queue) return <Loading />;
  return (
    <>
      <div className="head">
        <div>
          <h1>{visible(name)}</h1>
          {queue.description !== "" && <p className="muted">{visible(queue.description)}</p>}
        </div>
        <span className={queue.mode === QueueMode.OPEN ? "muted" : "mode"}>
          {modeText(queue.mode, texts)}
        </span>
        <QueueActions queue={queue} />
      </div>
      <div className="job-grid">
        <div>
          <section className="card">
            <h2>{texts.queues.statistics}</h2>
            <dl className="pairs">
              {STATES.map((state) => (
                <div key={state}>
                  <dt>{texts.states[stateName(state)]}</dt>
                  <dd>
                    <Depth queue={name} summary={statistics} state={state} />
                  </dd>
                </div>
              ))}
              <div>
                <dt>{texts.queues.rates}</dt>
                <dd>
                  <Sparkline name={name} points={history.get(name) ?? []} />
                </dd>
              </div>
              <div>
                <dt>{texts.queues.oldest}</dt>
                <dd>
                  <OldestReadyAge summary={statistics} />
                </dd>
              </div>
              <div>
                <dt title={texts.queues.percentiles}>{texts.queues.wait}</dt>
                <dd>
                  <PercentileTimes values={statistics?.wait} />
                </dd>
              </div>
              <div>
                <dt title={texts.queues.percentiles}>{texts.queues.run}</dt>
                <dd>
                  <PercentileTimes values={statistics?.run} />
                </dd>
              </div>
            </dl>
          </section>
        </div>
        <div>
          <section className="card">
            <h2>{texts.queues.bulkActions}</h2>
            <div className="buttons">
              <Link className="button" to="/" search={{ queue: printList([name]) }}>
                {texts.queues.viewJobs}
              </Link>
              {BULK_ACTIONS.map((action) => (
                <button
                  key={action}
                  type="button"
                  className={action === "delete" ? "danger" : ""}
                  onClick={() => setBulkAction(action)}
                >
                  {texts.bulk.titles[action]}
                </button>
              ))}
            </div>
          </section>
          <section className="card">
            <h2>{texts.queues.settings}</h2>
            <QueueSettings queue={queue} id={form} onSaved={() => undefined} />
            <p className="after">
              <button type="submit" form={form} className="primary">
                {texts.actions.save}
              </button>
            </p>
          </section>
        </div>
      </div>
      {bulkAction && (
        <BulkDialog
          name={bulkAction}
          search={{ queue: printList([name]) }}
          onClose={() => setBulkAction(undefined)}
        />
      )}
    </>
  );
}
