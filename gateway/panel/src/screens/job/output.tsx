// The beginning of the output that an attempt streamed.

import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@tanstack/react-query";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { attemptKey } from "../../ui/attempt-key";
import { Bytes } from "../../ui/bytes";
import { ErrorMessage } from "../../ui/feedback";

const READ_MAX_BYTES = 256 << 10;

export function Output({ job }: { job: Job }) {
  const texts = useTexts();
  const { jobs } = useClients();
  const { id } = job;
  const output = useQuery({
    queryKey: ["output", id, attemptKey(job)],
    queryFn: async ({ signal }) => {
      const parts: Uint8Array[] = [];
      let length = 0;
      for await (const { data } of jobs.readOutput({ id }, { signal })) {
        parts.push(data);
        length += data.length;
        if (length >= READ_MAX_BYTES) break;
      }
      const joined = new Uint8Array(length);
      let offset = 0;
      for (const part of parts) {
        joined.set(part, offset);
        offset += part.length;
      }
      return joined;
    },
    placeholderData: (previous) => previous,
  });
  if (output.isError && ConnectError.from(output.error).code !== Code.NotFound) {
    return <ErrorMessage error={output.error} onRetry={() => void output.refetch()} />;
  }
  return <Bytes title={texts.job.output} bytes={output.data} type="" />;
}
