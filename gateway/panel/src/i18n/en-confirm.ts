// English texts of the questions before actions.
export const enConfirm = {
  confirm: {
    titles: {
      cancel: "Cancel this job?",
      retry: "Run this job again?",
      runNow: "Run this job now?",
      delete: "Delete this job?",
    },
    changed: (state: string) =>
      `The job has changed meanwhile. It is now: ${state}. Close this question and look again.`,
    cancel: {
      running:
        "The job is running. Its handler is asked to stop, and what it has already done stays done.",
      ready: "The job is ready to run and will not run. This cannot be undone.",
      scheduled: "The job is scheduled and will not run. This cannot be undone.",
      blocked: "The job waits for its dependencies and will not run. This cannot be undone.",
    },
    retry: {
      succeeded:
        "This job has already succeeded. A new run does its work a second time, and removes its result.",
      cancelled: "This job was cancelled. A new run starts at once, with all its attempts.",
      expired:
        "This job did not start before its deadline. A new run starts at once and ignores the deadline.",
    },
    delete: {
      ready: "This job has not run yet, and will never run. This cannot be undone.",
      scheduled: "This job is scheduled, and will never run. This cannot be undone.",
      blocked:
        "This job waits for its dependencies, and will never run. Jobs that depend on it follow their dependency failure policy. This cannot be undone.",
      failed:
        "This deletes the job with its error, its attempts and its log. Jobs that depend on it follow their dependency failure policy. This cannot be undone.",
      cancelled: "This deletes the job with its attempts and its log. This cannot be undone.",
      expired: "This deletes the job. This cannot be undone.",
      succeeded:
        "This deletes the job with its result, its attempts and its log. This cannot be undone.",
    },
    /** What is special about the jobs of a state, in a bulk action. */
    surprises: {
      retry: {
        succeeded: "already succeeded; runs a second time",
        cancelled: "was cancelled",
        expired: "did not start before its deadline",
      },
      delete: {
        ready: "has not run yet",
        scheduled: "has not run yet",
        blocked: "has not run yet",
      },
    },
  },
};
