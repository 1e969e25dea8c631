// English texts of the search screen and of bulk actions.
export const enSearch = {
  search: {
    title: "Search",
    states: "States",
    queues: "Queues",
    kinds: "Kinds",
    labels: "Labels",
    listHint: "separate multiple values with commas",
    after: "Enqueued at or after",
    before: "Enqueued before",
    find: "Search",
    empty: "No matching jobs.",
    shown: (count: string) => `${count} shown`,
    shownOfMore: (count: string) => `${count} shown, more available`,
    limit: (count: string) =>
      `The first ${count} jobs are shown. Narrow the search, or export the jobs.`,
    select: (name: string) => `Select ${name}`,
    selectAll: "Select all loaded jobs",
    selected: (count: string) => `${count} selected`,
    matching: "All matching jobs",
    errors: {
      state: "is not a state",
      label: 'must be key=value, with each key once; quote commas: key="a, b"',
      queue: "has a quote that is not closed",
      kind: "has a quote that is not closed",
      after: "is not a time",
      before: "is not a time",
    } as Record<string, string>,
    formats: { jsonl: "JSON Lines", csv: "CSV" },
    exported: (count: string) => `${count} jobs exported`,
    exportLimit: (count: string) =>
      `The first ${count} jobs were exported, which is the limit. Narrow the search to export the rest.`,
    exporting: (count: string) => `Exporting: ${count} jobs so far`,
  },
  bulk: {
    titles: { cancel: "Cancel jobs", retry: "Retry jobs", delete: "Delete jobs" },
    counting: "Counting…",
    confirm: {
      cancel: (count: string) => `This cancels ${count}. Finished jobs are not changed.`,
      retry: (count: string) => `This retries ${count}. Unfinished jobs are not changed.`,
      delete: (count: string) =>
        `This deletes ${count}. Running jobs are not deleted. This cannot be undone.`,
    },
    byState: "Jobs by state",
    noneChosen: "Choose the states of the jobs to change.",
    selection: (count: string) => `Selected: ${count}`,
    nothing: "No matching job can be changed by this action.",
    needsFilter:
      "Choose a queue, a kind, a state or a label first. Bulk actions on all jobs of the server are not allowed.",
    invalidFilter: "Fix the filter first: as written it matches more jobs than you selected.",
    start: { cancel: "Cancel jobs", retry: "Retry jobs", delete: "Delete jobs" },
    stop: "Stop",
    resume: "Resume",
    processed: (done: string) => `${done} processed`,
    stopped: "Stopped. Completed changes are kept.",
    done: "Done.",
    /** By the number of the BulkOutcome. */
    outcomes: {
      1: "cancelled",
      2: "cancellation requested",
      3: "retried",
      4: "deleted",
      5: "skipped, changed by another request",
      6: "refused",
    } as Record<number, string>,
    failed: (count: string) => `${count} failed`,
  },
};
