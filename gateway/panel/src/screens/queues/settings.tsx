// The settings form of a new or an existing queue. Only changed fields are sent.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import {
  type Queue,
  QueueOrder,
  type QueueSchema,
} from "../../gen/sentinel/admin/v1/queue_service_pb";
import { useTexts } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { type CallError, describeError } from "../../rpc/errors";
import { durationText, parseDuration, toDuration } from "../../ui/durations";
import { ErrorBox, useNotifications } from "../../ui/feedback";
import { Field } from "../../ui/field";

/** Names of inputs, and the fields that they set. */
const FIELDS = [
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
  const texts = useTexts();
  const { queues } = useClients();
  const queryClient = useQueryClient();
  const notifications = useNotifications();
  const [callError, setCallError] = useState<CallError>();
  const [isBoostInvalid, setBoostInvalid] = useState(false);
  // The path of a list element ends with its index, as in `queue.index_paths[2]`.
  const errorOf = (field: string) =>
    [...(callError?.fields ?? [])].find(
      ([path]) => path.replace(/^queue\./, "").split("[")[0] === field,
    )?.[1];
  // The values when the form was opened. A change by another user meanwhile is not overwritten.
  const [initial, setInitial] = useState({
    order: String(queue?.order ?? QueueOrder.AGING),
    boost: durationText(queue?.priorityBoost) || "60s",
    description: queue?.description ?? "",
    paths: queue?.indexPaths.join("\n") ?? "",
  });

  async function save(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const text = (name: string) => String(data.get(name) ?? "").trim();
    const ms = parseDuration(text("boost"));
    setBoostInvalid(ms === undefined);
    if (ms === undefined) return;
    const changed: MessageInitShape<typeof QueueSchema> = {
      name: queue?.name ?? text("name"),
      description: text("description"),
      order: Number(text("order")) as QueueOrder,
      priorityBoost: toDuration(ms),
      indexPaths: text("paths")
        .split("\n")
        .map((path) => path.trim())
        .filter((path) => path !== ""),
    };
    const paths = FIELDS.filter(([input]) => text(input) !== initial[input].trim()).map(
      ([, path]) => path,
    );
    setCallError(undefined);
    // An empty mask would reset all fields.
    if (queue && paths.length === 0) return onSaved();
    try {
      if (queue) await queues.updateQueue({ queue: changed, updateMask: { paths } });
      else await queues.createQueue({ queue: changed });
      notifications.success(queue ? texts.queues.saved : texts.queues.created(changed.name ?? ""));
      await Promise.all(
        ["queues", "queue"].map((key) => queryClient.invalidateQueries({ queryKey: [key] })),
      );
      setInitial({
        order: text("order"),
        boost: text("boost"),
        description: text("description"),
        paths: text("paths"),
      });
      onSaved();
    } catch (error) {
      setCallError(describeError(error, texts));
    }
  }

  return (
    <form id={id} className="edit" noValidate onSubmit={(event) => void save(event)}>
      {callError && <ErrorBox error={callError} />}
      {!queue && (
        <Field label={texts.queues.name} error={errorOf("name")}>
          {/* biome-ignore lint/a11y/noAutofocus: the first field of a dialog */}
          <input name="name" required autoFocus />
        </Field>
      )}
      <Field label={texts.queues.description} error={errorOf("description")}>
        <input name="description" defaultValue={initial.description} />
      </Field>
      <Field label={texts.queues.order} error={errorOf("order")}>
        <select name="order" defaultValue={initial.order}>
          {[QueueOrder.AGING, QueueOrder.STRICT].map((order) => (
            <option key={order} value={order}>
              {texts.queues.orders[order]}
            </option>
          ))}
        </select>
      </Field>
      <Field
        label={texts.queues.boost}
        hint={texts.newJob.durationHint}
        error={isBoostInvalid ? texts.newJob.invalidDuration : errorOf("priority_boost")}
      >
        <input name="boost" defaultValue={initial.boost} />
      </Field>
      <Field
        label={texts.queues.paths}
        hint={texts.queues.pathsHint}
        error={errorOf("index_paths")}
      >
        <textarea name="paths" rows={3} className="mono" defaultValue={initial.paths} />
      </Field>
    </form>
  );
}
