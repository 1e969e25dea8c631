// Home: what runs and what happened lately, each row live.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo } from "react";
import { JobState } from "../gen/sentinel/jobs/v1/job_pb";
import { millisOf, useFormat } from "../i18n/format";
import { useWords } from "../i18n/index";
import { useFollow, useHub, useSummary } from "../live/hooks";
import { tasksRoute } from "../router";
import { useClients } from "../rpc/context";
import { Empty, Failure, Loading } from "../ui/feedback";
import { filterOf, isEmptyFilter } from "../ui/filter";
import { useFresh } from "../ui/fresh";
import { FilterBar } from "./tasks/filter-bar";
import { TaskTable } from "./tasks/table";

/** Together they are what one watch follows. */
const RUNNING_MAX = 50;
const RECENT_MAX = 50;

export function Tasks() {
  const words = useWords();
  const format = useFormat();
  const search = tasksRoute.useSearch();
  const { jobs } = useClients();
  const hub = useHub();
  const filter = useMemo(() => filterOf(search), [search]);
  const list = useQuery({
    queryKey: ["tasks", search],
    queryFn: async ({ signal }) => {
      const asksRunning = filter.states?.length === 0;
      const [recent, running] = await Promise.all([
        jobs.list({ filter, pageSize: RECENT_MAX }, { signal }),
        asksRunning
          ? jobs.list(
              { filter: { ...filter, states: [JobState.RUNNING] }, pageSize: RUNNING_MAX },
              { signal },
            )
          : undefined,
      ]);
      for (const job of [...recent.jobs, ...(running?.jobs ?? [])]) hub.put(job);
      const runs = (running?.jobs ?? []).map((job) => job.id);
      const seen = new Set(runs);
      return {
        running: runs,
        recent: recent.jobs.map((job) => job.id).filter((id) => !seen.has(id)),
        asOf: millisOf(recent.asOf),
      };
    },
    placeholderData: (before) => before,
  });
  const { refetch } = list;
  useFresh(useCallback(() => void refetch(), [refetch]));
  const ids = useMemo(
    () => [...(list.data?.running ?? []), ...(list.data?.recent ?? [])].slice(0, 100),
    [list.data],
  );
  useFollow(ids);
  useEffect(() => {
    document.title = `${words.tasks.title} · ${words.appName}`;
  }, [words]);

  return (
    <>
      <div className="head">
        <h1>{words.tasks.title}</h1>
        {list.data?.asOf !== undefined && list.data.asOf > 0 && (
          <span className="quiet nowrap">{words.common.asOf(format.clock(list.data.asOf))}</span>
        )}
        <Link className="button primary" to="/new">
          {words.nav.newJob}
        </Link>
      </div>
      <NoWorkers />
      <FilterBar search={search} />
      {list.isPending && <Loading />}
      {list.isError && <Failure error={list.error} again={() => void refetch()} />}
      {list.data &&
        (ids.length === 0 ? (
          isEmptyFilter(search) ? (
            <Empty title={words.tasks.empty}>
              <p>{words.tasks.emptyHint}</p>
            </Empty>
          ) : (
            <Empty title={words.tasks.emptyFilter}>
              <Link to="/">{words.actions.clear}</Link>
            </Empty>
          )
        ) : (
          <TaskTable ids={ids} label={words.tasks.title} />
        ))}
    </>
  );
}

/** Whoever enqueues the first job and sees nothing move is told why. */
function NoWorkers() {
  const words = useWords();
  return (
    useSummary()?.workers === 0 && (
      <p className="card notice" role="status">
        {words.workers.empty} <code>{words.workers.emptyHint}</code>
      </p>
    )
  );
}
