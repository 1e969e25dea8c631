// The workers screen: the connected workers, their load and their handlers.
import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import type { Worker } from "../gen/sentinel/admin/v1/worker_registry_service_pb";
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { useClients } from "../rpc/context";
import { Confirm } from "../ui/dialog";
import { Empty, ErrorMessage, Loading, useNotifications } from "../ui/feedback";
import { useHeld, useHeldRows, useHold, WaitingRows } from "../ui/hold";
import { useRefreshOnChange } from "../ui/refresh";
import { Age } from "../ui/time";
import { visible } from "../ui/visible";

/** The limit of listed workers. The command line lists all. */
const WORKERS_MAX = 1_000;
const KINDS_SHOWN = 3;

export function WorkersScreen() {
  const texts = useTexts();
  const format = useFormat();
  const { workers } = useClients();
  const [draining, setDraining] = useState<Worker>();
  const notifications = useNotifications();
  const list = useQuery({
    queryKey: ["workers"],
    queryFn: ({ signal }) => workers.listWorkers({ pageSize: WORKERS_MAX }, { signal }),
    placeholderData: (previous) => previous,
  });
  const { refetch } = list;
  useRefreshOnChange(useCallback(() => void refetch(), [refetch]));
  useEffect(() => {
    document.title = `${texts.workers.title} · ${texts.appName}`;
  }, [texts]);

  async function drain(worker: Worker) {
    try {
      await workers.drainWorker({ id: worker.id });
      notifications.success(texts.workers.drained(visible(worker.instance)));
      await refetch();
    } catch (error) {
      notifications.error(error);
    }
  }

  const all = list.data?.workers ?? [];
  const hold = useHold({ onTouch: true });
  const { rows, ...order } = useHeldRows(
    all,
    ({ id }) => id,
    hold.isHeld,
    String(list.data === undefined),
  );
  return (
    <>
      <div className="head">
        <h1>{texts.workers.title}</h1>
      </div>
      {list.isPending && <Loading />}
      {list.data && rows.length === 0 && (
        <Empty title={texts.workers.empty}>
          <p>
            <code>{texts.workers.emptyHint}</code>
          </p>
        </Empty>
      )}
      <div {...hold.props}>
        <WaitingRows {...order} />
        {rows.length > 0 && (
          <WorkerTable workers={rows} isHeld={hold.isAimedAt} onDrain={setDraining} />
        )}
      </div>
      {/* Below the list, so that it does not move the rows. */}
      {list.isError && <ErrorMessage error={list.error} onRetry={() => void refetch()} />}
      {list.data?.nextPageToken && (
        <p className="muted after">{texts.workers.firstShown(format.number(all.length))}</p>
      )}
      {draining && (
        <Confirm
          title={texts.workers.drainTitle(visible(draining.instance))}
          text={texts.workers.drainText}
          action={texts.actions.drain}
          onConfirm={() => void drain(draining)}
          onClose={() => setDraining(undefined)}
        />
      )}
    </>
  );
}

function WorkerTable({
  workers: all,
  isHeld,
  onDrain,
}: {
  workers: readonly Worker[];
  isHeld: boolean;
  onDrain: (worker: Worker) => void;
}) {
  const { workers, fields } = useTexts();
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
            <WorkerRow key={worker.id} worker={worker} isHeld={isHeld} onDrain={onDrain} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function WorkerRow({
  worker,
  isHeld,
  onDrain,
}: {
  worker: Worker;
  isHeld: boolean;
  onDrain: (worker: Worker) => void;
}) {
  const { workers, actions, fields } = useTexts();
  const instance = visible(worker.instance);
  const { shown: hasDrain } = useHeld(!worker.draining, isHeld);
  return (
    <tr>
      <td data-label={workers.instance} className="strong">
        {instance}
      </td>
      <td data-label={fields.state} className="nowrap">
        {worker.draining ? workers.draining : workers.accepting}
      </td>
      <td data-label={workers.load}>
        <Load worker={worker} />
      </td>
      <td data-label={workers.queues}>{visible(worker.queues.join(", "))}</td>
      <td data-label={workers.kinds}>
        <Names names={worker.kinds.map(visible)} />
      </td>
      <td data-label={workers.build}>{visible(worker.build)}</td>
      <td data-label={workers.server}>{visible(worker.server)}</td>
      <td data-label={workers.since} className="nowrap">
        <Age since={worker.since} />
      </td>
      <td data-label={fields.actions}>
        {hasDrain && (
          <button
            type="button"
            className="small"
            aria-label={`${actions.drain} ${instance}`}
            aria-disabled={worker.draining}
            onClick={() => !worker.draining && onDrain(worker)}
          >
            {actions.drain}
          </button>
        )}
      </td>
    </tr>
  );
}

function Load({ worker: { runningJobs, slots, instance } }: { worker: Worker }) {
  const texts = useTexts();
  const format = useFormat();
  if (slots === 0) return <>{format.number(runningJobs)}</>;
  return (
    <div className="progress" data-state="running">
      <div
        role="meter"
        className="bar"
        aria-label={`${texts.workers.load} ${visible(instance)}`}
        aria-valuemin={0}
        aria-valuemax={slots}
        aria-valuenow={Math.min(runningJobs, slots)}
      >
        <span style={{ transform: `scaleX(${Math.min(1, runningJobs / slots)})` }} />
      </div>
      <span className="nowrap">
        {texts.workers.of(format.number(runningJobs), format.number(slots))}
      </span>
    </div>
  );
}

function Names({ names }: { names: readonly string[] }) {
  const texts = useTexts();
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
          <summary className="chip">{texts.workers.more(format.number(rest.length))}</summary>
          {rest.join(", ")}
        </details>
      )}
    </div>
  );
}
