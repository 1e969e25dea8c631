// The form: what is wrong with it is said at the field, whether this page or the server saw it.
import { create, toJson } from "@bufbuild/protobuf";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useId, useRef, useState } from "react";
import { JobSpecSchema } from "../../gen/sentinel/jobs/v1/job_pb";
import type { JobKind } from "../../gen/sentinel/jobs/v1/kind_service_pb";
import { useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { useHub } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { type Trouble, troubleOf } from "../../rpc/words";
import { short } from "../../ui/act";
import { Bytes } from "../../ui/bytes";
import { TroubleBox, useNotes } from "../../ui/feedback";
import { Field } from "../../ui/field";
import { requestId } from "../../ui/request-id";
import { exampleOf } from "../../ui/schema";
import { type Draft, type FieldName, fieldOf, isJson, mistakesInDraft, specOf } from "./draft";
import { Options } from "./options";
import { Payload, usePayload } from "./payload";

function showFirst(form: HTMLElement): void {
  requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
}

export function NewJobForm({
  draft: first,
  kinds,
  queues,
}: {
  draft: Draft;
  kinds: readonly JobKind[];
  queues: readonly string[];
}) {
  const words = useWords();
  const { jobs } = useClients();
  const hub = useHub();
  const notes = useNotes();
  const navigate = useNavigate();
  const format = useFormat();
  const schemaOf = (name: string) => kinds.find((kind) => kind.name === name)?.inputSchema ?? "";
  const [draft, setDraft] = useState<Draft>(() =>
    first.payload === "" && !first.binary
      ? { ...first, payload: exampleOf(schemaOf(first.kind)) }
      : first,
  );
  const [trouble, setTrouble] = useState<Trouble>();
  const [problems, setProblems] = useState<ReadonlyMap<FieldName, string>>(new Map());
  const [isSending, setSending] = useState(false);
  // The same for the same job until it has an answer: sent twice, it is one.
  const sent = useRef({ what: "", id: "" });
  const list = useId();
  const kind = kinds.find(({ name }) => name === draft.kind);
  const payload = usePayload(kind?.inputSchema ?? "", draft.payload, isJson(draft));

  function set<Name extends FieldName>(name: Name, value: Draft[Name]) {
    setDraft((before) => {
      const next = { ...before, [name]: value };
      const isUntouched =
        before.payload.trim() === "" || before.payload === exampleOf(schemaOf(before.kind));
      if (name === "kind" && isUntouched) next.payload = exampleOf(schemaOf(String(value)));
      return next;
    });
  }

  function check(text: string | undefined): boolean {
    const found = new Map<FieldName, string>();
    const { newJob } = words;
    for (const [name, what] of mistakesInDraft(draft)) {
      found.set(
        name,
        what === "delay" ? newJob.badDelay : what === "label" ? newJob.badLabel : newJob[what],
      );
    }
    setProblems(found);
    return found.size === 0 && text !== undefined;
  }

  async function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    setTrouble(undefined);
    const text = draft.binary ? "" : payload.take();
    if (!check(text) || text === undefined) {
      showFirst(form);
      return;
    }
    setSending(true);
    try {
      const spec = specOf({ ...draft, payload: text });
      const what = JSON.stringify(toJson(JobSpecSchema, create(JobSpecSchema, spec)));
      if (what !== sent.current.what) sent.current = { what, id: requestId() };
      const { job, deduplicated } = await jobs.enqueue({ spec, requestId: sent.current.id });
      if (!job) return;
      hub.put(job);
      notes.good(deduplicated ? words.newJob.deduplicated : words.newJob.enqueued(short(job.id)));
      await navigate({ to: "/jobs/$id", params: { id: job.id } });
    } catch (error) {
      const said = troubleOf(error, words);
      const found = new Map<FieldName, string>();
      for (const [path, why] of said.fields) {
        const name = fieldOf(path);
        if (name) found.set(name, why);
      }
      setProblems(found);
      setTrouble(said);
      showFirst(form);
    } finally {
      setSending(false);
    }
  }

  return (
    <form className="new-job card" noValidate onSubmit={(event) => void send(event)}>
      {trouble && <TroubleBox trouble={trouble} />}
      <div className="columns">
        <Field name={words.fields.queue} problem={problems.get("queue")}>
          <input
            name="queue"
            list={`${list}q`}
            value={draft.queue}
            required
            onChange={(event) => set("queue", event.target.value)}
          />
        </Field>
        <datalist id={`${list}q`}>
          {queues.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <Field
          name={words.fields.kind}
          hint={
            kind === undefined
              ? draft.kind === ""
                ? undefined
                : words.newJob.unknownKind
              : kind.workers === 0
                ? words.newJob.noWorker
                : kind.description || words.newJob.workers(format.number(kind.workers))
          }
          problem={problems.get("kind")}
        >
          <input
            name="kind"
            list={`${list}k`}
            value={draft.kind}
            required
            onChange={(event) => set("kind", event.target.value)}
          />
        </Field>
        <datalist id={`${list}k`}>
          {kinds.map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </div>
      {draft.binary && (
        <Bytes title={words.fields.payload} bytes={draft.binary} type={draft.base?.contentType} />
      )}
      {!draft.binary && (
        <Payload
          state={payload}
          problem={problems.get("payload")}
          text={draft.payload}
          onText={(text) => set("payload", text)}
        />
      )}
      <Options draft={draft} problems={problems} set={set} />
      <div className="buttons">
        <button type="submit" className="primary" disabled={isSending}>
          {words.actions.enqueue}
        </button>
      </div>
    </form>
  );
}
