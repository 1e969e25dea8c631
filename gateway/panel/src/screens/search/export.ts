// Exports all matching jobs to a file that the browser downloads.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { type Job, JobSchema } from "../../gen/sentinel/jobs/v1/job_pb";
import type { JobFilterSchema } from "../../gen/sentinel/jobs/v1/job_service_pb";
import { timestampMs } from "../../i18n/format";
import type { Clients } from "../../rpc/clients";
import { stateName } from "../../ui/states";

export type ExportFormat = "jsonl" | "csv";

const PAGE_SIZE = 1_000;

/** The limit of exported jobs. The browser keeps the whole file in memory, some hundred MB. */
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

/** Quotes a cell, and prevents spreadsheets from running it as a formula. */
export function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const isoTime = (ms: number | undefined): string =>
  ms === undefined ? "" : new Date(ms).toISOString();

export function csvLine(job: Job): string {
  const labels = Object.entries(job.spec?.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const cells = [
    job.id,
    job.spec?.queue ?? "",
    job.spec?.kind ?? "",
    stateName(job.state),
    String(job.run),
    String(job.attempt),
    isoTime(timestampMs(job.createdAt)),
    isoTime(timestampMs(job.finishedAt)),
    job.worker,
    job.error?.message ?? "",
    labels.join(" "),
  ];
  return cells.map(csvCell).join(",");
}

/** Exports up to `EXPORT_MAX` jobs. Returns the number of exported jobs. */
export async function exportAll(
  jobs: Clients["jobs"],
  filter: MessageInitShape<typeof JobFilterSchema>,
  format: ExportFormat,
  { signal, onCount }: { signal: AbortSignal; onCount: (count: number) => void },
): Promise<number> {
  const parts: string[] = format === "csv" ? [`${COLUMNS.join(",")}\n`] : [];
  let [count, pageToken] = [0, ""];
  do {
    const page = await jobs.list({ filter, pageSize: PAGE_SIZE, pageToken }, { signal });
    const line = (job: Job) =>
      format === "csv" ? csvLine(job) : JSON.stringify(toJson(JobSchema, job));
    parts.push(page.jobs.map((job) => `${line(job)}\n`).join(""));
    count += page.jobs.length;
    onCount(count);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && count < EXPORT_MAX);
  download(
    new Blob(parts, { type: format === "csv" ? "text/csv" : "application/x-ndjson" }),
    `jobs.${format}`,
  );
  return count;
}

function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads the bytes later.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
