// Who did what, newest first.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import type { AuditEntry } from "../gen/sentinel/admin/v1/audit_service_pb";
import { useWords } from "../i18n/index";
import { useClients } from "../rpc/context";
import { Empty, Failure, Loading } from "../ui/feedback";
import { Moment } from "../ui/time";

const PAGE = 100;

export function Audit() {
  const words = useWords();
  const { audit } = useClients();
  const pages = useInfiniteQuery({
    queryKey: ["audit"],
    queryFn: ({ pageParam, signal }) =>
      audit.listAuditEntries({ pageSize: PAGE, pageToken: pageParam }, { signal }),
    initialPageParam: "",
    getNextPageParam: ({ nextPageToken }) => (nextPageToken === "" ? undefined : nextPageToken),
  });
  useEffect(() => {
    document.title = `${words.audit.title} · ${words.appName}`;
  }, [words]);
  const entries = pages.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <div className="head">
        <h1>{words.audit.title}</h1>
      </div>
      {pages.isPending && <Loading />}
      {pages.isError && <Failure error={pages.error} again={() => void pages.refetch()} />}
      {pages.data && entries.length === 0 && <Empty title={words.audit.empty} />}
      {entries.length > 0 && <Entries entries={entries} />}
      {pages.hasNextPage && (
        <p className="after">
          <button
            type="button"
            disabled={pages.isFetchingNextPage}
            onClick={() => void pages.fetchNextPage()}
          >
            {words.actions.loadMore}
          </button>
        </p>
      )}
    </>
  );
}

function Entries({ entries }: { entries: readonly AuditEntry[] }) {
  const { audit } = useWords();
  return (
    <div className="scroll">
      <table className="cards" aria-label={audit.title}>
        <thead>
          <tr>
            <th scope="col">{audit.time}</th>
            <th scope="col">{audit.actor}</th>
            <th scope="col">{audit.action}</th>
            <th scope="col">{audit.target}</th>
            <th scope="col">{audit.outcome}</th>
            <th scope="col">{audit.peer}</th>
            <th scope="col">{audit.request}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.id}>
              <td data-label={audit.time} className="nowrap">
                <Moment of={entry.at} />
              </td>
              <td data-label={audit.actor}>{entry.actor}</td>
              <td data-label={audit.action} title={entry.action}>
                {entry.action.split("/").at(-1)}
              </td>
              <td data-label={audit.target} className="mono">
                <Target entry={entry} />
              </td>
              <td data-label={audit.outcome}>
                <code>{entry.outcome}</code>
              </td>
              <td data-label={audit.peer}>{entry.peer}</td>
              <td data-label={audit.request} className="mono">
                {entry.requestId}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A link where there is a screen for it. */
function Target({ entry: { action, target } }: { entry: AuditEntry }) {
  if (target === "") return null;
  if (action.includes("JobService/") && /^[\da-f-]{36}$/.test(target)) {
    return (
      <Link to="/jobs/$id" params={{ id: target }}>
        {target}
      </Link>
    );
  }
  if (action.includes("QueueService/")) {
    return (
      <Link to="/queues/$name" params={{ name: target }}>
        {target}
      </Link>
    );
  }
  return <>{target}</>;
}
