// The settings of a queue, new or there already: only what was changed is sent.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import {
  type Queue,
  QueueOrder,
  type QueueSchema,
} from "../../gen/sentinel/admin/v1/queue_service_pb";
import { useWords } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { type Trouble, troubleOf } from "../../rpc/words";
import { TroubleBox, useNotes } from "../../ui/feedback";
import { Field } from "../../ui/field";
import { durationOf, millisIn, textOfSpan } from "../../ui/spans";

/** Inputs with the settings that they are. */
const CHANGEABLE = [
  ["order", "order"],
  ["boost", "priority_boost"],
  ["description", "description"],
  ["paths", "index_paths"],
] as const;

export function QueueSettings({
  queue,
  id,
  onSaved,
}: {
  queue: Queue | undefined;
  id: string;
  onSaved: () => void;
}) {
  const words = useWords();
  const { queues } = useClients();
  const cache = useQueryClient();
  const notes = useNotes();
  const [trouble, setTrouble] = useState<Trouble>();
  const [boostIsBad, setBoostIsBad] = useState(false);
  // An element of a list is told by its place, as in `queue.index_paths[2]`.
  const problem = (field: string) =>
    [...(trouble?.fields ?? [])].find(
      ([path]) => path.replace(/^queue\./, "").split("[")[0] === field,
    )?.[1];
  // As the form began: what somebody else changes meanwhile is not sent back as it was.
  const [before, setBefore] = useState({
    order: String(queue?.order ?? QueueOrder.AGING),
    boost: textOfSpan(queue?.priorityBoost) || "60s",
    description: queue?.description ?? "",
    paths: queue?.indexPaths.join("\n") ?? "",
  });

  async function save(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const text = (name: string) => String(data.get(name) ?? "").trim();
    const ms = millisIn(text("boost"));
    setBoostIsBad(ms === undefined);
    if (ms === undefined) return;
    const wanted: MessageInitShape<typeof QueueSchema> = {
      name: queue?.name ?? text("name"),
      description: text("description"),
      order: Number(text("order")) as QueueOrder,
      priorityBoost: durationOf(ms),
      indexPaths: text("paths")
        .split("\n")
        .map((path) => path.trim())
        .filter((path) => path !== ""),
    };
    const paths = CHANGEABLE.filter(([input]) => text(input) !== before[input].trim()).map(
      ([, path]) => path,
    );
    setTrouble(undefined);
    // An empty mask would mean all of them.
    if (queue && paths.length === 0) return onSaved();
    try {
      if (queue) await queues.updateQueue({ queue: wanted, updateMask: { paths } });
      else await queues.createQueue({ queue: wanted });
      notes.good(queue ? words.queues.saved : words.queues.created(wanted.name ?? ""));
      await Promise.all(
        ["queues", "queue"].map((key) => cache.invalidateQueries({ queryKey: [key] })),
      );
      setBefore({
        order: text("order"),
        boost: text("boost"),
        description: text("description"),
        paths: text("paths"),
      });
      onSaved();
    } catch (error) {
      setTrouble(troubleOf(error, words));
    }
  }

  return (
    <form id={id} className="edit" noValidate onSubmit={(event) => void save(event)}>
      {trouble && <TroubleBox trouble={trouble} />}
      {!queue && (
        <Field name={words.queues.name} problem={problem("name")}>
          <input name="name" required autoFocus />
        </Field>
      )}
      <Field name={words.queues.description} problem={problem("description")}>
        <input name="description" defaultValue={before.description} />
      </Field>
      <Field name={words.queues.order} problem={problem("order")}>
        <select name="order" defaultValue={before.order}>
          {[QueueOrder.AGING, QueueOrder.STRICT].map((order) => (
            <option key={order} value={order}>
              {words.queues.orders[order]}
            </option>
          ))}
        </select>
      </Field>
      <Field
        name={words.queues.boost}
        hint={words.newJob.delayHint}
        problem={boostIsBad ? words.newJob.badDelay : problem("priority_boost")}
      >
        <input name="boost" defaultValue={before.boost} />
      </Field>
      <Field
        name={words.queues.paths}
        hint={words.queues.pathsHint}
        problem={problem("index_paths")}
      >
        <textarea name="paths" rows={3} className="mono" defaultValue={before.paths} />
      </Field>
    </form>
  );
}
