// A screen whose code is loaded separately. Without the code it says so in place of the screen,
// below the banner of the connection, and opens by itself when the server is back.
import { type ComponentType, useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { useTexts } from "../i18n/index";
import { useConnection } from "../live/hooks";
import { Loading } from "../ui/feedback";
import { isServerReachable, reloadOnce, reloadPage } from "./reload";
import { ScreenCode } from "./screen-code";

const RETRY_MS = 3_000;
/** How long the navigation to a screen waits for its code. */
const NAVIGATION_MAX_MS = 2_000;

export interface LazyScreen {
  (): React.ReactNode;
  /** The router calls this before it shows the screen. It never fails. */
  preload(): Promise<void>;
}

const all: ScreenCode[] = [];

export function lazyScreen<Name extends string>(
  load: () => Promise<Record<Name, ComponentType>>,
  name: Name,
): LazyScreen {
  const code = new ScreenCode(async () => (await load())[name]);
  all.push(code);
  const preload = async () => {
    const timeout = new Promise<void>((resolve) => setTimeout(resolve, NAVIGATION_MAX_MS));
    await Promise.race([code.load(), timeout]);
  };
  return Object.assign(() => <ScreenOf code={code} />, { preload });
}

function ScreenOf({ code }: { code: ScreenCode }) {
  const state = useSyncExternalStore(code.subscribe, code.state);
  useEffect(() => void code.load(), [code]);
  if (state.status === "loaded") return <state.Component />;
  if (state.status === "failed") return <ScreenMissing code={code} />;
  return <Loading />;
}

/** Loads the code of all screens while the page is idle, so that they open without the server. */
export function preloadScreens(): void {
  const [next] = all.filter((code) => code.state().status === "absent");
  if (!next) return;
  const whenIdle = window.requestIdleCallback ?? ((run: () => void) => setTimeout(run, 500));
  whenIdle(() => void next.load().then(preloadScreens));
}

function ScreenMissing({ code }: { code: ScreenCode }) {
  const { errors } = useTexts();
  const connection = useConnection();
  const [isOutdated, setOutdated] = useState(false);
  const retry = useCallback(async () => {
    const state = await code.load();
    if (state.status === "loaded") return;
    const isReachable = await isServerReachable();
    // An updated server has no file of this name any more, and some browsers do not load a file
    // again that failed once. A new page solves both.
    setOutdated(isReachable && !reloadOnce());
  }, [code]);
  useEffect(() => {
    if (connection.status === "live") void retry();
    const timer = setInterval(() => void retry(), RETRY_MS);
    return () => clearInterval(timer);
  }, [connection.status, retry]);
  return (
    <div className="error-box" role="alert">
      <p className="strong">{errors.screenMissing}</p>
      <p>{isOutdated ? errors.screenOutdated : errors.screenOffline}</p>
      <button type="button" onClick={() => void (isOutdated ? reloadPage() : retry())}>
        {isOutdated ? errors.reload : errors.retry}
      </button>
    </div>
  );
}
