// The routes of the panel. The filters of a screen are in its URL, so a link shows the same jobs.
// The code of a screen is loaded when the page is idle, or when the screen is first opened.
//
// Screens read their parameters with `getRouteApi`, so that they do not import this file.
import { createRootRoute, createRoute, createRouter } from "@tanstack/react-router";
import { ErrorScreen, NotFound } from "./shell/fallbacks";
import { lazyScreen } from "./shell/lazy-screen";
import { Shell } from "./shell/shell";
import { parseFilter, parseSearch, printSearch } from "./ui/filter";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: ErrorScreen,
});

const text = (search: Record<string, unknown>, name: string): string | undefined => {
  const value = search[name];
  return typeof value === "string" && value !== "" ? value : undefined;
};

const jobs = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: parseFilter,
  component: lazyScreen(() => import("./screens/jobs"), "JobsScreen"),
});

const job = createRoute({
  getParentRoute: () => root,
  path: "/jobs/$id",
  component: lazyScreen(() => import("./screens/job"), "JobScreen"),
});

const queues = createRoute({
  getParentRoute: () => root,
  path: "/queues",
  component: lazyScreen(() => import("./screens/queues"), "QueuesScreen"),
});

const queue = createRoute({
  getParentRoute: () => root,
  path: "/queues/$name",
  component: lazyScreen(() => import("./screens/queue"), "QueueScreen"),
});

const search = createRoute({
  getParentRoute: () => root,
  path: "/search",
  validateSearch: parseFilter,
  component: lazyScreen(() => import("./screens/search"), "SearchScreen"),
});

const workers = createRoute({
  getParentRoute: () => root,
  path: "/workers",
  component: lazyScreen(() => import("./screens/workers"), "WorkersScreen"),
});

const newJob = createRoute({
  getParentRoute: () => root,
  path: "/new",
  validateSearch: (search: Record<string, unknown>) => {
    const [kind, queue, from] = [text(search, "kind"), text(search, "queue"), text(search, "from")];
    return { ...(kind && { kind }), ...(queue && { queue }), ...(from && { from }) };
  },
  component: lazyScreen(() => import("./screens/new-job"), "NewJobScreen"),
});

const audit = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  component: lazyScreen(() => import("./screens/audit"), "AuditScreen"),
});

const routeTree = root.addChildren([jobs, job, queues, queue, search, workers, newJob, audit]);

export const router = createRouter({
  routeTree,
  defaultPreload: "intent",
  // Within the frame, so that the banner of the connection stays.
  defaultErrorComponent: ErrorScreen,
  parseSearch,
  stringifySearch: printSearch,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
