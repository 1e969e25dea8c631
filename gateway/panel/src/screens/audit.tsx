// The audit screen: the audit entries, newest first.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import type { AuditEntry } from "../gen/sentinel/admin/v1/audit_service_pb";
import { useTexts } from "../i18n/index";
import { useClients } from "../rpc/context";
import { Empty, ErrorMessage, Loading } from "../ui/feedback";
import { DateTime } from "../ui/time";
import { visible } from "../ui/visible";

const PAGE_SIZE = 100;

export function AuditScreen() {
  const texts = useTexts();
  const { audit } = useClients();
  const pages = useInfiniteQuery({
    queryKey: ["audit"],
    queryFn: ({ pageParam, signal }) =>
      audit.listAuditEntries({ pageSize: PAGE_SIZE, pageToken: pageParam }, { signal }),
    initialPageParam: "",
    getNextPageParam: ({ nextPageToken }) => (nextPageToken === "" ? undefined : nextPageToken),
  });
  useEffect(() => {
    document.title = `${texts.audit.title} · ${texts.appName}`;
  }, [texts]);
  const entries = pages.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <div className="head">
        <h1>{texts.audit.title}</h1>
      </div>
      {pages.isPending && <Loading />}
      {pages.isError && <ErrorMessage error={pages.error} onRetry={() => void pages.refetch()} />}
      {pages.data && entries.length === 0 && <Empty title={texts.audit.empty} />}
      {entries.length > 0 && <Entries entries={entries} />}
      {pages.hasNextPage && (
        <p className="after">
          <button
            type="button"
            disabled={pages.isFetchingNextPage}
            onClick={() => void pages.fetchNextPage()}
          >
            {texts.actions.loadMore}
          </button>
        </p>
      )}
    </>
  );
}

function Entries({ entries }: { entries: readonly AuditEntry[] }) {
  const { audit } = useTexts();
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
                <DateTime value={entry.at} />
              </td>
              <td data-label={audit.actor}>{visible(entry.actor)}</td>
              <td data-label={audit.action} title={visible(entry.action)}>
                {visible(entry.action.split("/").at(-1) ?? "")}
              </td>
              <td data-label={audit.target} className="mono">
                <Target entry={entry} />
              </td>
              <td data-label={audit.outcome}>
                <code>{visible(entry.outcome)}</code>
              </td>
              <td data-label={audit.peer}>{visible(entry.peer)}</td>
              <td data-label={audit.request} className="mono">
                {visible(entry.requestId)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Shows the target of an action, as a link when it has a screen. */
function Target({ entry: { action, target } }: { entry: AuditEntry }) {
  if (target === "") return null;
  if (action.includes("JobService/") && /^[\da-f-]{36}$/.test(target)) {
    return (
      <Link to="/jobs/$id" params={{ id: target }}>
        {visible(target)}
      </Link>
    );
  }
  if (action.includes("QueueService/")) {
    return (
      <Link to="/queues/$name" params={{ name: target }}>
        {visible(target)}
      </Link>
    );
  }
  return <>{visible(target)}</>;
}
