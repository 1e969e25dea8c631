// The page begins here: one set of clients, one live stream, one cache of answers.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { LanguageProvider } from "./i18n/index";
import { LiveProvider } from "./live/hooks";
import { LiveHub } from "./live/hub";
import { router } from "./router";
import { overHttp } from "./rpc/clients";
import { ClientsProvider } from "./rpc/context";
import { applyTheme } from "./shell/theme";
import { NotesProvider } from "./ui/feedback";
import "./style/base.css";
import "./style/parts.css";
import "./style/screens.css";

applyTheme();

const clients = overHttp(window.location.origin);
const hub = new LiveHub((request, options) => clients.jobs.watch(request, options));

// An answer is as old as the summary that came after it, so nothing is asked again on a timer.
const cache = new QueryClient({
  defaultOptions: {
    queries: { retry: false, refetchOnWindowFocus: false, staleTime: 5_000 },
  },
});

window.addEventListener("online", () => hub.wake());
const HIDDEN_MS = 60_000;
let hidden: ReturnType<typeof setTimeout> | undefined;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(() => hub.pause(), HIDDEN_MS);
  else {
    hub.resume();
    hub.wake();
  }
});

const place = document.getElementById("panel");
if (!place) throw new Error("index.html has no #panel");
createRoot(place).render(
  <StrictMode>
    <LanguageProvider>
      <QueryClientProvider client={cache}>
        <ClientsProvider clients={clients}>
          <LiveProvider hub={hub}>
            <NotesProvider>
              <RouterProvider router={router} />
            </NotesProvider>
          </LiveProvider>
        </ClientsProvider>
      </QueryClientProvider>
    </LanguageProvider>
  </StrictMode>,
);
