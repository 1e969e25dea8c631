// All that match, as a file: read page by page, written by the browser.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { type Job, JobSchema } from "../../gen/sentinel/jobs/v1/job_pb";
import type { JobFilterSchema } from "../../gen/sentinel/jobs/v1/job_service_pb";
import { millisOf } from "../../i18n/format";
import type { Clients } from "../../rpc/clients";
import { nameOf } from "../../ui/states";

export type ExportFormat = "jsonl" | "csv";

const PAGE = 1_000;

/** The browser holds the whole file: some hundred megabytes. More is a matter for the command line. */
export const EXPORT_MAX = 500_000;
const COLUMNS = [
  "id",
  "queue",
  "kind",
  "state",
  "run",
  "attempt",
  "created_at",
  "finished_at",
  "worker",
  "error",
  "labels",
];

/** A cell that a spreadsheet would take for a formula is made text. */
export function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const time = (ms: number | undefined): string =>
  ms === undefined ? "" : new Date(ms).toISOString();

export function csvLine(job: Job): string {
  const labels = Object.entries(job.spec?.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const cells = [
    job.id,
    job.spec?.queue ?? "",
    job.spec?.kind ?? "",
    nameOf(job.state),
    String(job.run),
    String(job.attempt),
    time(millisOf(job.createdAt)),
    time(millisOf(job.finishedAt)),
    job.worker,
    job.error?.message ?? "",
    labels.join(" "),
  ];
  return cells.map(cell).join(",");
}

export async function exportAll(
  jobs: Clients["jobs"],
  filter: MessageInitShape<typeof JobFilterSchema>,
  format: ExportFormat,
  { signal, onCount }: { signal: AbortSignal; onCount: (count: number) => void },
): Promise<number> {
  const parts: string[] = format === "csv" ? [`${COLUMNS.join(",")}\n`] : [];
  let [count, pageToken] = [0, ""];
  do {
    const page = await jobs.list({ filter, pageSize: PAGE, pageToken }, { signal });
    const line = (job: Job) =>
      format === "csv" ? csvLine(job) : JSON.stringify(toJson(JobSchema, job));
    parts.push(page.jobs.map((job) => `${line(job)}\n`).join(""));
    count += page.jobs.length;
    onCount(count);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && count < EXPORT_MAX);
  save(
    new Blob(parts, { type: format === "csv" ? "text/csv" : "application/x-ndjson" }),
    `jobs.${format}`,
  );
  return count;
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser takes the bytes after this turn.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
