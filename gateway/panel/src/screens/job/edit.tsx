// Changes what may still change of a job that has not started: only the fields that were touched.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type FormEvent, useId, useState } from "react";
import type { Job, JobSpecSchema } from "../../gen/sentinel/jobs/v1/job_pb";
import { millisOf } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { useHub } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { type Trouble, troubleOf } from "../../rpc/words";
import { Dialog } from "../../ui/dialog";
import { TroubleBox, useNotes } from "../../ui/feedback";
import { prettyJson, textOfBytes } from "../../ui/json";
import { localTime } from "../../ui/spans";

const ownLabels = (job: Job): [string, string][] =>
  Object.entries(job.spec?.labels ?? {}).filter(([key]) => !key.startsWith("payload."));

export function Edit({ job, onClose }: { job: Job; onClose: () => void }) {
  const words = useWords();
  const { jobs } = useClients();
  const hub = useHub();
  const notes = useNotes();
  const form = useId();
  const [trouble, setTrouble] = useState<Trouble>();
  const payload = textOfBytes(job.spec?.payload ?? new Uint8Array());
  const before = {
    priority: String(job.spec?.priority ?? 0),
    runAt: localTime(millisOf(job.spec?.runAt ?? job.readyAt)),
    labels: ownLabels(job)
      .map(([key, value]) => `${key}=${value}`)
      .join("\n"),
    payload: payload === undefined ? "" : (prettyJson(payload) ?? payload),
  };

  async function save(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const now = (name: keyof typeof before) => String(data.get(name) ?? before[name]);
    const spec: MessageInitShape<typeof JobSpecSchema> = {};
    const paths: string[] = [];
    if (now("priority") !== before.priority) {
      spec.priority = Number(now("priority"));
      paths.push("priority");
    }
    if (now("runAt") !== before.runAt) {
      if (now("runAt") !== "") spec.runAt = timestampFromDate(new Date(now("runAt")));
      paths.push("run_at");
    }
    if (now("labels") !== before.labels) {
      const pairs = now("labels")
        .split("\n")
        .filter((line) => line.trim() !== "");
      spec.labels = Object.fromEntries(
        pairs.map((pair) => [pair.split("=", 1)[0] ?? "", pair.slice(pair.indexOf("=") + 1)]),
      );
      paths.push("labels");
    }
    if (now("payload") !== before.payload) {
      spec.payload = new TextEncoder().encode(now("payload"));
      paths.push("payload");
    }
    if (paths.length === 0) return onClose();
    try {
      const answer = await jobs.update({
        id: job.id,
        spec,
        updateMask: { paths },
        version: job.version,
      });
      if (answer.job) hub.put(answer.job);
      notes.good(words.job.saved);
      onClose();
    } catch (error) {
      setTrouble(troubleOf(error, words));
    }
  }

  return (
    <Dialog
      title={words.job.editTitle}
      onClose={onClose}
      actions={
        <button type="submit" form={form} className="primary">
          {words.actions.save}
        </button>
      }
    >
      <form id={form} className="edit" onSubmit={(event) => void save(event)}>
        {trouble && <TroubleBox trouble={trouble} />}
        <label className="field">
          <span>{words.fields.priority}</span>
          <input name="priority" type="number" min={0} max={9} defaultValue={before.priority} />
        </label>
        <label className="field">
          <span>
            {words.job.editRunAt} ({words.job.editRunAtHint})
          </span>
          <input name="runAt" type="datetime-local" step={1} defaultValue={before.runAt} />
        </label>
        <label className="field">
          <span>
            {words.fields.labels} ({words.job.labelsHint})
          </span>
          <textarea name="labels" rows={3} defaultValue={before.labels} className="mono" />
        </label>
        {payload !== undefined && (
          <label className="field">
            <span>{words.fields.payload}</span>
            <textarea
              name="payload"
              rows={8}
              defaultValue={before.payload}
              className="mono"
              spellCheck={false}
            />
          </label>
        )}
      </form>
    </Dialog>
  );
}
