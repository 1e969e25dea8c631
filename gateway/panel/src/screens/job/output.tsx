// What an attempt handed out while it ran: its beginning, as text.

import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@tanstack/react-query";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { useWords } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { Bytes } from "../../ui/bytes";
import { Failure } from "../../ui/feedback";
import { phaseOf } from "../../ui/phase";

const READ_MAX_BYTES = 256 << 10;

export function Output({ job }: { job: Job }) {
  const words = useWords();
  const { jobs } = useClients();
  const { id } = job;
  const output = useQuery({
    queryKey: ["output", id, phaseOf(job)],
    queryFn: async ({ signal }) => {
      const parts: Uint8Array[] = [];
      let length = 0;
      for await (const { data } of jobs.readOutput({ id }, { signal })) {
        parts.push(data);
        length += data.length;
        if (length >= READ_MAX_BYTES) break;
      }
      const whole = new Uint8Array(length);
      let at = 0;
      for (const part of parts) {
        whole.set(part, at);
        at += part.length;
      }
      return whole;
    },
    placeholderData: (before) => before,
  });
  if (output.isError && ConnectError.from(output.error).code !== Code.NotFound) {
    return <Failure error={output.error} again={() => void output.refetch()} />;
  }
  return <Bytes title={words.job.output} bytes={output.data} type="" />;
}
