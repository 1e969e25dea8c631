// The frame around every screen: navigation, the state of the connection, and the sign-in form in
// place of the screen when the server requires an API key.
import { Code } from "@connectrpc/connect";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { JobState } from "../gen/sentinel/jobs/v1/job_pb";
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { useConnection, useSummary } from "../live/hooks";
import { SignIn } from "../ui/sign-in";
import { ConnectionIndicator, ConnectionLostBanner } from "./connection";
import { MoreMenu } from "./more-menu";
import { ShortcutsDialog, useShortcuts } from "./shortcuts";

/** SVG paths in a 24 by 24 box, drawn with strokes. */
const ICONS = {
  jobs: "M4 6h10M4 12h16M4 18h7",
  queues: "M4 5h16v4H4zM4 15h16v4H4zM8 12h8",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20",
  workers: "M5 5h14v6H5zM5 14h14v5H5zM8 8h.01M8 16.5h.01",
  newJob: "M12 5v14M5 12h14",
  audit: "M6 4h9l3 3v13H6zM9 11h6M9 15h6",
} as const;

const SCREENS = [
  { name: "jobs", to: "/" },
  { name: "queues", to: "/queues" },
  { name: "search", to: "/search" },
  { name: "workers", to: "/workers" },
  { name: "newJob", to: "/new" },
  { name: "audit", to: "/audit" },
] as const;

export function Shell() {
  const texts = useTexts();
  const connection = useConnection();
  const [showsShortcuts, setShowsShortcuts] = useState(false);
  useShortcuts(() => setShowsShortcuts(true));
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const isFirst = useRef(true);
  useEffect(() => {
    // Screen readers then read a new screen from its beginning.
    if (!isFirst.current) main.current?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [pathname]);
  const isSignedOut =
    connection.status === "lost" && connection.error.code === Code.Unauthenticated;
  return (
    <div className="frame">
      {/* biome-ignore lint/a11y/useValidAnchor: a skip link navigates within the page */}
      <a className="skip" href="#main" onClick={() => main.current?.focus()}>
        {texts.skipToContent}
      </a>
      <header className="side">
        <div className="brand">
          <img src="/icon.svg" alt="" width="22" height="22" />
          <span>{texts.appName}</span>
          <ConnectionIndicator />
        </div>
        <nav aria-label={texts.nav.label}>
          {SCREENS.map(({ name, to }) => (
            <Link key={name} to={to} activeOptions={{ exact: to === "/", includeSearch: false }}>
              <svg viewBox="0 0 24 24" aria-hidden="true">
                <path d={ICONS[name]} />
              </svg>
              <span>{texts.nav[name]}</span>
              {name === "jobs" && <RunningJobsBadge />}
              {name === "workers" && <WorkersBadge />}
            </Link>
          ))}
        </nav>
        <MoreMenu onShortcuts={() => setShowsShortcuts(true)} />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {isSignedOut ? (
          <SignIn />
        ) : (
          <>
            <ConnectionLostBanner />
            <Outlet />
          </>
        )}
      </main>
      {showsShortcuts && <ShortcutsDialog onClose={() => setShowsShortcuts(false)} />}
    </div>
  );
}

function RunningJobsBadge() {
  const format = useFormat();
  const texts = useTexts();
  const summary = useSummary();
  let count = 0n;
  for (const queue of summary?.queues ?? []) {
    for (const one of queue.states) if (one.state === JobState.RUNNING) count += one.count;
  }
  if (count === 0n) return null;
  return (
    <span className="badge" title={texts.jobs.running}>
      {format.number(count)}
    </span>
  );
}

/** Shows nothing for an API key limited to some queues, which does not see workers. */
function WorkersBadge() {
  const format = useFormat();
  const count = useSummary()?.workers;
  return count !== undefined && <span className="badge neutral">{format.number(count)}</span>;
}
