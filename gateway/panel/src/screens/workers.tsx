// The fleet: who is there, how full it is, and what each has handlers for.
import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import type { Worker } from "../gen/sentinel/admin/v1/worker_registry_service_pb";
import { useFormat } from "../i18n/format";
import { useWords } from "../i18n/index";
import { useClients } from "../rpc/context";
import { Confirm } from "../ui/dialog";
import { Empty, Failure, Loading, useNotes } from "../ui/feedback";
import { useFresh } from "../ui/fresh";
import { Age } from "../ui/time";

/** Beyond it the list says that there are more: the command line has them. */
const WORKERS_MAX = 1_000;
const KINDS_SHOWN = 3;

export function Workers() {
  const words = useWords();
  const format = useFormat();
  const { workers } = useClients();
  const [asks, setAsks] = useState<Worker>();
  const notes = useNotes();
  const list = useQuery({
    queryKey: ["workers"],
    queryFn: ({ signal }) => workers.listWorkers({ pageSize: WORKERS_MAX }, { signal }),
    placeholderData: (before) => before,
  });
  const { refetch } = list;
  useFresh(useCallback(() => void refetch(), [refetch]));
  useEffect(() => {
    document.title = `${words.workers.title} · ${words.appName}`;
  }, [words]);

  async function drain(worker: Worker) {
    try {
      await workers.drainWorker({ id: worker.id });
      notes.good(words.workers.drained(worker.instance));
      await refetch();
    } catch (error) {
      notes.bad(error);
    }
  }

  const all = list.data?.workers ?? [];
  return (
    <>
      <div className="head">
        <h1>{words.workers.title}</h1>
      </div>
      {list.isPending && <Loading />}
      {list.isError && <Failure error={list.error} again={() => void refetch()} />}
      {list.data && all.length === 0 && (
        <Empty title={words.workers.empty}>
          <p>
            <code>{words.workers.emptyHint}</code>
          </p>
        </Empty>
      )}
      {all.length > 0 && <Fleet workers={all} onDrain={setAsks} />}
      {list.data?.nextPageToken && (
        <p className="quiet after">{words.workers.first(format.number(all.length))}</p>
      )}
      {asks && (
        <Confirm
          title={words.workers.drainTitle(asks.instance)}
          text={words.workers.drainText}
          action={words.actions.drain}
          onConfirm={() => void drain(asks)}
          onClose={() => setAsks(undefined)}
        />
      )}
    </>
  );
}

function Fleet({
  workers: all,
  onDrain,
}: {
  workers: readonly Worker[];
  onDrain: (worker: Worker) => void;
}) {
  const { workers, actions, fields } = useWords();
  return (
    <div className="scroll">
      <table className="cards" aria-label={workers.title}>
        <thead>
          <tr>
            <th scope="col">{workers.instance}</th>
            <th scope="col">{fields.state}</th>
            <th scope="col">{workers.load}</th>
            <th scope="col">{workers.queues}</th>
            <th scope="col">{workers.kinds}</th>
            <th scope="col">{workers.build}</th>
            <th scope="col">{workers.server}</th>
            <th scope="col">{workers.since}</th>
            <th scope="col">
              <span className="visually-hidden">{fields.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {all.map((worker) => (
            <tr key={worker.id}>
              <td data-label={workers.instance} className="strong">
                {worker.instance}
              </td>
              <td data-label={fields.state} className="nowrap">
                {worker.draining ? workers.draining : workers.takes}
              </td>
              <td data-label={workers.load}>
                <Load worker={worker} />
              </td>
              <td data-label={workers.queues}>{worker.queues.join(", ")}</td>
              <td data-label={workers.kinds}>
                <Names names={worker.kinds} />
              </td>
              <td data-label={workers.build}>{worker.build}</td>
              <td data-label={workers.server}>{worker.server}</td>
              <td data-label={workers.since} className="nowrap">
                <Age of={worker.since} />
              </td>
              <td data-label={fields.actions}>
                {!worker.draining && (
                  <button
                    type="button"
                    className="small"
                    aria-label={`${actions.drain} ${worker.instance}`}
                    onClick={() => onDrain(worker)}
                  >
                    {actions.drain}
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Load({ worker: { runningJobs, slots, instance } }: { worker: Worker }) {
  const words = useWords();
  const format = useFormat();
  if (slots === 0) return <>{format.number(runningJobs)}</>;
  return (
    <div className="progress" data-state="running">
      <div
        role="meter"
        className="bar"
        aria-label={`${words.workers.load} ${instance}`}
        aria-valuemin={0}
        aria-valuemax={slots}
        aria-valuenow={Math.min(runningJobs, slots)}
      >
        <span style={{ transform: `scaleX(${Math.min(1, runningJobs / slots)})` }} />
      </div>
      <span className="nowrap">
        {words.workers.of(format.number(runningJobs), format.number(slots))}
      </span>
    </div>
  );
}

function Names({ names }: { names: readonly string[] }) {
  const words = useWords();
  const format = useFormat();
  const rest = names.slice(KINDS_SHOWN);
  return (
    <div className="chips">
      {names.slice(0, KINDS_SHOWN).map((name) => (
        <span key={name} className="chip">
          {name}
        </span>
      ))}
      {rest.length > 0 && (
        <details>
          <summary className="chip">{words.workers.more(format.number(rest.length))}</summary>
          {rest.join(", ")}
        </details>
      )}
    </div>
  );
}
