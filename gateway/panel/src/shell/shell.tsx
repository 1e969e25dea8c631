// What stands around every screen: where one can go, how the line to the server is, and sign-in
// in place of the screen when the server wants a key.
import { Code } from "@connectrpc/connect";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { JobState } from "../gen/sentinel/jobs/v1/job_pb";
import { useFormat } from "../i18n/format";
import { useWords } from "../i18n/index";
import { useLine, useSummary } from "../live/hooks";
import { SignIn } from "../ui/sign-in";
import { LineMark, LostBanner } from "./line";
import { More } from "./more";
import { ShortcutsDialog, useShortcuts } from "./shortcuts";

/** 24 by 24, drawn with strokes. */
const ICONS = {
  tasks: "M4 6h10M4 12h16M4 18h7",
  queues: "M4 5h16v4H4zM4 15h16v4H4zM8 12h8",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20",
  workers: "M5 5h14v6H5zM5 14h14v5H5zM8 8h.01M8 16.5h.01",
  newJob: "M12 5v14M5 12h14",
  audit: "M6 4h9l3 3v13H6zM9 11h6M9 15h6",
} as const;

const SCREENS = [
  { name: "tasks", to: "/" },
  { name: "queues", to: "/queues" },
  { name: "search", to: "/search" },
  { name: "workers", to: "/workers" },
  { name: "newJob", to: "/new" },
  { name: "audit", to: "/audit" },
] as const;

export function Shell() {
  const words = useWords();
  const line = useLine();
  const [shows, setShows] = useState(false);
  useShortcuts(() => setShows(true));
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const isFirst = useRef(true);
  useEffect(() => {
    // A new screen is read from its beginning, also by those who do not see it.
    if (!isFirst.current) main.current?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [pathname]);
  const isSignedOut = line.is === "lost" && line.error.code === Code.Unauthenticated;
  return (
    <div className="frame">
      <a className="skip" href="#main" onClick={() => main.current?.focus()}>
        {words.skip}
      </a>
      <header className="side">
        <div className="brand">
          <img src="/icon.svg" alt="" width="22" height="22" />
          <span>{words.appName}</span>
          <LineMark />
        </div>
        <nav aria-label={words.nav.label}>
          {SCREENS.map(({ name, to }) => (
            <Link key={name} to={to} activeOptions={{ exact: to === "/", includeSearch: false }}>
              <svg viewBox="0 0 24 24" aria-hidden="true">
                <path d={ICONS[name]} />
              </svg>
              <span>{words.nav[name]}</span>
              {name === "tasks" && <Running />}
              {name === "workers" && <Fleet />}
            </Link>
          ))}
        </nav>
        <More onShortcuts={() => setShows(true)} />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {isSignedOut ? (
          <SignIn />
        ) : (
          <>
            <LostBanner />
            <Outlet />
          </>
        )}
      </main>
      {shows && <ShortcutsDialog onClose={() => setShows(false)} />}
    </div>
  );
}

/** How many jobs run, beside the way to them. */
function Running() {
  const format = useFormat();
  const words = useWords();
  const summary = useSummary();
  let count = 0n;
  for (const queue of summary?.queues ?? []) {
    for (const one of queue.states) if (one.state === JobState.RUNNING) count += one.count;
  }
  if (count === 0n) return null;
  return (
    <span className="badge" title={words.tasks.running}>
      {format.number(count)}
    </span>
  );
}

/** How many workers there are; a key of some queues is not told. */
function Fleet() {
  const format = useFormat();
  const count = useSummary()?.workers;
  return count !== undefined && <span className="badge calm">{format.number(count)}</span>;
}
