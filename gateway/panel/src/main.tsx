// The entry point: creates the clients, the live hub and the query cache, and renders the router.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { LanguageProvider } from "./i18n/index";
import { LiveProvider } from "./live/hooks";
import { LiveHub } from "./live/hub";
import { router } from "./router";
import { createHttpClients } from "./rpc/clients";
import { ClientsProvider } from "./rpc/context";
import { applyTheme } from "./shell/theme";
import { NotificationsProvider } from "./ui/feedback";
import "./style/base.css";
import "./style/components.css";
import "./style/screens.css";

/** A tab hidden for this long closes its stream. */
const PAUSE_AFTER_MS = 60_000;

applyTheme();

const clients = createHttpClients(window.location.origin);
const hub = new LiveHub((request, options) => clients.jobs.watch(request, options));

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
  else {
    hub.resume();
    hub.reconnect();
  }
});

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
