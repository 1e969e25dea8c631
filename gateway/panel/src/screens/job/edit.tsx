// Edits a job that has not started yet. Only changed fields are sent.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type FormEvent, useId, useState } from "react";
import type { Job, JobSpecSchema } from "../../gen/sentinel/jobs/v1/job_pb";
import { timestampMs } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { useHub } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { type CallError, describeError } from "../../rpc/errors";
import { Dialog } from "../../ui/dialog";
import { toLocalInput } from "../../ui/durations";
import { ErrorBox, useNotifications } from "../../ui/feedback";
import { Field } from "../../ui/field";
import { parseLabels, printLabels } from "../../ui/filter-text";
import { decodeUtf8, formatJson } from "../../ui/json";

/** Excludes the labels that the server derives from the payload. */
const editableLabels = (job: Job): [string, string][] =>
  Object.entries(job.spec?.labels ?? {}).filter(([key]) => !key.startsWith("payload."));

export function Edit({ job, onClose }: { job: Job; onClose: () => void }) {
  const texts = useTexts();
  const { jobs } = useClients();
  const hub = useHub();
  const notifications = useNotifications();
  const form = useId();
  const [callError, setCallError] = useState<CallError>();
  const [invalidLabel, setInvalidLabel] = useState<string>();
  const payload = decodeUtf8(job.spec?.payload ?? new Uint8Array());
  const initial = {
    priority: String(job.spec?.priority ?? 0),
    runAt: toLocalInput(timestampMs(job.spec?.runAt ?? job.readyAt)),
    labels: printLabels(editableLabels(job), "\n"),
    payload: payload === undefined ? "" : (formatJson(payload) ?? payload),
  };

  async function save(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const value = (name: keyof typeof initial) => String(data.get(name) ?? initial[name]);
    const spec: MessageInitShape<typeof JobSpecSchema> = {};
    const paths: string[] = [];
    if (value("priority") !== initial.priority) {
      spec.priority = Number(value("priority"));
      paths.push("priority");
    }
    if (value("runAt") !== initial.runAt) {
      if (value("runAt") !== "") spec.runAt = timestampFromDate(new Date(value("runAt")));
      paths.push("run_at");
    }
    if (value("labels") !== initial.labels) {
      const labels = parseLabels(value("labels"), "\n");
      setInvalidLabel(labels.invalid);
      if (labels.invalid !== undefined) return;
      spec.labels = Object.fromEntries(labels.values);
      paths.push("labels");
    }
    if (value("payload") !== initial.payload) {
      spec.payload = new TextEncoder().encode(value("payload"));
      paths.push("payload");
    }
    if (paths.length === 0) return onClose();
    try {
      const response = await jobs.update({
        id: job.id,
        spec,
        updateMask: { paths },
        version: job.version,
      });
      if (response.job) hub.put(response.job);
      notifications.success(texts.job.saved);
      onClose();
    } catch (error) {
      setCallError(describeError(error, texts));
    }
  }

  return (
    <Dialog
      title={texts.job.editTitle}
      onClose={onClose}
      actions={
        <button type="submit" form={form} className="primary">
          {texts.actions.save}
        </button>
      }
    >
      <form id={form} className="edit" onSubmit={(event) => void save(event)}>
        {callError && <ErrorBox error={callError} />}
        <label className="field">
          <span>{texts.fields.priority}</span>
          <input name="priority" type="number" min={0} max={9} defaultValue={initial.priority} />
        </label>
        <label className="field">
          <span>
            {texts.job.editRunAt} ({texts.job.editRunAtHint})
          </span>
          <input name="runAt" type="datetime-local" step={1} defaultValue={initial.runAt} />
        </label>
        <Field
          label={texts.fields.labels}
          hint={texts.job.labelsHint}
          error={invalidLabel === undefined ? undefined : texts.newJob.invalidLabel}
        >
          <textarea name="labels" rows={3} defaultValue={initial.labels} className="mono" />
        </Field>
        {payload !== undefined && (
          <label className="field">
            <span>{texts.fields.payload}</span>
            <textarea
              name="payload"
              rows={8}
              defaultValue={initial.payload}
              className="mono"
              spellCheck={false}
            />
          </label>
        )}
      </form>
    </Dialog>
  );
}
