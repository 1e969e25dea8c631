// The jobs screen: the running and the recent jobs, live, with a filter.
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo } from "react";
import { JobState } from "../gen/sentinel/jobs/v1/job_pb";
import { timestampMs, useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { useFollowJobs, useHub, useSummary } from "../live/hooks";
import { IDS_MAX } from "../live/subscriptions";
import { useClients } from "../rpc/context";
import { Empty, ErrorMessage, Loading } from "../ui/feedback";
import { filterErrors, isEmptyFilter, toJobFilter } from "../ui/filter";
import { useHeld, useHold, WaitingRows } from "../ui/hold";
import { useRefreshOnChange } from "../ui/refresh";
import { visible } from "../ui/visible";
import { FilterBar } from "./jobs/filter-bar";
import { JobTable } from "./jobs/table";

const RUNNING_MAX = 50;
const RECENT_MAX = 50;

const route = getRouteApi("/");

export function JobsScreen() {
  const texts = useTexts();
  const format = useFormat();
  const search = route.useSearch();
  const { jobs } = useClients();
  const hub = useHub();
  const filter = useMemo(() => toJobFilter(search), [search]);
  const errors = filterErrors(search);
  const list = useQuery({
    queryKey: ["jobs", search],
    queryFn: async ({ signal }) => {
      const showsAllStates = filter.states?.length === 0;
      const [recent, running] = await Promise.all([
        jobs.list({ filter, pageSize: RECENT_MAX }, { signal }),
        showsAllStates
          ? jobs.list(
              { filter: { ...filter, states: [JobState.RUNNING] }, pageSize: RUNNING_MAX },
              { signal },
            )
          : undefined,
      ]);
      for (const job of [...recent.jobs, ...(running?.jobs ?? [])]) hub.put(job);
      const runningIds = (running?.jobs ?? []).map((job) => job.id);
      const isRunning = new Set(runningIds);
      return {
        scope: JSON.stringify(search),
        running: runningIds,
        recent: recent.jobs.map((job) => job.id).filter((id) => !isRunning.has(id)),
        asOf: timestampMs(recent.asOf),
      };
    },
    placeholderData: (previous) => previous,
    // An invalid value is left out of the filter, which would then match more jobs.
    enabled: errors.size === 0,
  });
  const { refetch } = list;
  useRefreshOnChange(useCallback(() => void refetch(), [refetch]));
  const ids = useMemo(
    () => [...(list.data?.running ?? []), ...(list.data?.recent ?? [])].slice(0, IDS_MAX),
    [list.data],
  );
  const hold = useHold({ onTouch: true });
  const rows = useHeld(ids, hold.isHeld, list.data?.scope);
  useFollowJobs(rows.shown);
  const hasNoWorker = useHeld(useSummary()?.workers === 0, hold.isHeld).shown;
  useEffect(() => {
    document.title = `${texts.jobs.title} · ${texts.appName}`;
  }, [texts]);

  return (
    <>
      <div className="head">
        <h1>{texts.jobs.title}</h1>
        {list.data?.asOf !== undefined && list.data.asOf > 0 && (
          <span className="muted nowrap">{texts.common.asOf(format.time(list.data.asOf))}</span>
        )}
        <Link className="button primary" to="/new">
          {texts.nav.newJob}
        </Link>
      </div>
      {hasNoWorker && <NoWorkersNotice />}
      <FilterBar search={search} />
      {list.isPending && errors.size === 0 && <Loading />}
      {[...errors].map(([field, value]) => (
        <p key={field} className="field-error" role="alert">
          {visible(value)} {texts.search.errors[field]}
        </p>
      ))}
      <div {...hold.props} hidden={errors.size > 0}>
        <WaitingRows shown={rows.shown} latest={ids} apply={rows.apply} />
        {list.data &&
          (rows.shown.length === 0 ? (
            isEmptyFilter(search) ? (
              <Empty title={texts.jobs.empty}>
                <p>{texts.jobs.emptyHint}</p>
              </Empty>
            ) : (
              <Empty title={texts.jobs.emptyFilter}>
                <Link to="/">{texts.actions.clear}</Link>
              </Empty>
            )
          ) : (
            <JobTable ids={rows.shown} label={texts.jobs.title} isHeld={hold.isAimedAt} />
          ))}
      </div>
      {/* Below the list, so that it does not move the rows. */}
      {list.isError && <ErrorMessage error={list.error} onRetry={() => void refetch()} />}
    </>
  );
}

/** Explains to new users why their first job does not start. */
function NoWorkersNotice() {
  const texts = useTexts();
  return (
    <p className="card notice" role="status">
      {texts.workers.empty} <code>{texts.workers.emptyHint}</code>
    </p>
  );
}
