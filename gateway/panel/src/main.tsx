// The entry point: creates the clients, the live hub and the query cache, and renders the router.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { LanguageProvider } from "./i18n/index";
import { LiveProvider } from "./live/hooks";
import { LiveHub, type Watch } from "./live/hub";
import { SharedWatch } from "./live/shared-watch";
import { router } from "./router";
import { createHttpClients } from "./rpc/clients";
import { ClientsProvider } from "./rpc/context";
import { onSessionChange } from "./rpc/session";
import { preloadScreens } from "./shell/lazy-screen";
import { applyTheme } from "./shell/theme";
import { NotificationsProvider } from "./ui/feedback";
import "./style/base.css";
import "./style/components.css";
import "./style/screens.css";

/** A tab hidden for this long follows no jobs, so that visible tabs can follow more. */
const PAUSE_AFTER_MS = 10_000;

applyTheme();

const clients = createHttpClients(window.location.origin);
const direct: Watch = (request, options) => clients.jobs.watch(request, options);
const shared = window.SharedWorker && new SharedWatch(direct, connectStream);
const hub = new LiveHub(shared?.watch ?? direct);
onSessionChange(() => shared?.reset());

// Queries are not polled: screens refetch when the live summary changes.
const queryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: false, refetchOnWindowFocus: false, staleTime: 5_000 },
  },
});

window.addEventListener("online", () => hub.reconnect());
let pauseTimer: ReturnType<typeof setTimeout> | undefined;
document.addEventListener("visibilitychange", () => {
  clearTimeout(pauseTimer);
  if (document.hidden) pauseTimer = setTimeout(() => hub.pause(), PAUSE_AFTER_MS);
  else follow();
});
// A tab that is opened in the background follows nothing before it is shown.
if (document.hidden) hub.pause();
// Nor does a page that the browser keeps for its back button.
window.addEventListener("pagehide", () => hub.pause());
window.addEventListener("pageshow", ({ persisted }) => persisted && follow());

function follow(): void {
  hub.resume();
  hub.reconnect();
}

function connectStream(): SharedWorker {
  return new SharedWorker(new URL("./live/stream.worker.ts", import.meta.url), {
    type: "module",
    name: "sentinel",
  });
}

const root = document.getElementById("panel");
if (!root) throw new Error("index.html has no element with the id panel");
createRoot(root).render(
  <StrictMode>
    <LanguageProvider>
      <QueryClientProvider client={queryClient}>
        <ClientsProvider clients={clients}>
          <LiveProvider hub={hub}>
            <NotificationsProvider>
              <RouterProvider router={router} />
            </NotificationsProvider>
          </LiveProvider>
        </ClientsProvider>
      </QueryClientProvider>
    </LanguageProvider>
  </StrictMode>,
);

preloadScreens();
