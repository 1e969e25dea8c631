// The form for a new job. Errors of this page and of the server are shown at the fields.
import { create, toJson } from "@bufbuild/protobuf";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useId, useRef, useState } from "react";
import { JobSpecSchema } from "../../gen/sentinel/jobs/v1/job_pb";
import type { JobKind } from "../../gen/sentinel/jobs/v1/kind_service_pb";
import { useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { useHub } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { type CallError, describeError } from "../../rpc/errors";
import { Bytes } from "../../ui/bytes";
import { ErrorBox, useNotifications } from "../../ui/feedback";
import { Field } from "../../ui/field";
import { shortId } from "../../ui/job-actions";
import { newRequestId } from "../../ui/request-id";
import { examplePayload } from "../../ui/schema";
import { visible } from "../../ui/visible";
import { type Draft, type DraftField, draftErrors, draftField, isJson, toJobSpec } from "./draft";
import { Options } from "./options";
import { Payload, usePayload } from "./payload";

function focusFirstError(form: HTMLElement): void {
  requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
}

export function NewJobForm({
  draft: initial,
  kinds,
  queues,
}: {
  draft: Draft;
  kinds: readonly JobKind[];
  queues: readonly string[];
}) {
  const texts = useTexts();
  const { jobs } = useClients();
  const hub = useHub();
  const notifications = useNotifications();
  const navigate = useNavigate();
  const format = useFormat();
  const schemaOf = (name: string) => kinds.find((kind) => kind.name === name)?.inputSchema ?? "";
  const [draft, setDraft] = useState<Draft>(() =>
    initial.payload === "" && !initial.binary
      ? { ...initial, payload: examplePayload(schemaOf(initial.kind)) }
      : initial,
  );
  const [callError, setCallError] = useState<CallError>();
  const [errors, setErrors] = useState<ReadonlyMap<DraftField, string>>(new Map());
  const [isSending, setSending] = useState(false);
  // The request ID is reused until the call succeeds, so that a retry enqueues no second job.
  const lastRequest = useRef({ spec: "", id: "" });
  const listId = useId();
  const kind = kinds.find(({ name }) => name === draft.kind);
  const payload = usePayload(kind?.inputSchema ?? "", draft.payload, isJson(draft));

  function set<Name extends DraftField>(name: Name, value: Draft[Name]) {
    setDraft((before) => {
      const next = { ...before, [name]: value };
      const isUntouched =
        before.payload.trim() === "" || before.payload === examplePayload(schemaOf(before.kind));
      if (name === "kind" && isUntouched) next.payload = examplePayload(schemaOf(String(value)));
      return next;
    });
  }

  /** Shows the errors of the form. Returns whether there are none. */
  function validate(): boolean {
    const found = new Map<DraftField, string>();
    const { newJob } = texts;
    const descriptions = {
      duration: newJob.invalidDuration,
      label: newJob.invalidLabel,
      required: newJob.required,
      integer: newJob.integer,
      range: newJob.range,
    };
    for (const [name, error] of draftErrors(draft)) found.set(name, descriptions[error]);
    setErrors(found);
    return found.size === 0;
  }

  async function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    setCallError(undefined);
    const text = draft.binary ? "" : payload.validate();
    const isValid = validate();
    if (!isValid || text === undefined) {
      focusFirstError(form);
      return;
    }
    setSending(true);
    try {
      const spec = toJobSpec({ ...draft, payload: text });
      const json = JSON.stringify(toJson(JobSpecSchema, create(JobSpecSchema, spec)));
      if (json !== lastRequest.current.spec) {
        lastRequest.current = { spec: json, id: newRequestId() };
      }
      const { job, deduplicated } = await jobs.enqueue({
        spec,
        requestId: lastRequest.current.id,
      });
      if (!job) return;
      hub.put(job);
      notifications.success(
        deduplicated ? texts.newJob.deduplicated : texts.newJob.enqueued(shortId(job.id)),
      );
      await navigate({ to: "/jobs/$id", params: { id: job.id } });
    } catch (error) {
      const described = describeError(error, texts);
      const found = new Map<DraftField, string>();
      for (const [path, description] of described.fields) {
        const name = draftField(path);
        if (name) found.set(name, description);
      }
      setErrors(found);
      setCallError(described);
      focusFirstError(form);
    } finally {
      setSending(false);
    }
  }

  return (
    <form className="new-job card" noValidate onSubmit={(event) => void send(event)}>
      {callError && <ErrorBox error={callError} />}
      <div className="columns">
        <Field label={texts.fields.queue} error={errors.get("queue")}>
          <input
            name="queue"
            list={`${listId}q`}
            value={draft.queue}
            required
            onChange={(event) => set("queue", event.target.value)}
          />
        </Field>
        <datalist id={`${listId}q`}>
          {queues.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <Field
          label={texts.fields.kind}
          hint={
            kind === undefined
              ? draft.kind === ""
                ? undefined
                : texts.newJob.unknownKind
              : kind.workers === 0
                ? texts.newJob.noWorker
                : visible(kind.description) || texts.newJob.workers(format.number(kind.workers))
          }
          error={errors.get("kind")}
        >
          <input
            name="kind"
            list={`${listId}k`}
            value={draft.kind}
            required
            onChange={(event) => set("kind", event.target.value)}
          />
        </Field>
        <datalist id={`${listId}k`}>
          {kinds.map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </div>
      {draft.binary && (
        <Bytes title={texts.fields.payload} bytes={draft.binary} type={draft.base?.contentType} />
      )}
      {!draft.binary && (
        <Payload
          state={payload}
          error={errors.get("payload")}
          text={draft.payload}
          onText={(text) => set("payload", text)}
        />
      )}
      <Options draft={draft} errors={errors} set={set} />
      <div className="buttons">
        <button type="submit" className="primary" disabled={isSending}>
          {texts.actions.enqueue}
        </button>
      </div>
    </form>
  );
}
