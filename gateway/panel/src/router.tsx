// The addresses of the panel. What a screen is filtered by is in its address, so that a link
// shows another person the same. Every screen is a file of its own that is loaded when it is seen.
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { Crashed, NotFound } from "./shell/fallbacks";
import { Shell } from "./shell/shell";
import { parseFilter } from "./ui/filter";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: Crashed,
});

const text = (search: Record<string, unknown>, name: string): string | undefined => {
  const value = search[name];
  return typeof value === "string" && value !== "" ? value : undefined;
};

export const tasksRoute = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: parseFilter,
  component: lazyRouteComponent(() => import("./screens/tasks"), "Tasks"),
});

export const jobRoute = createRoute({
  getParentRoute: () => root,
  path: "/jobs/$id",
  component: lazyRouteComponent(() => import("./screens/job"), "JobScreen"),
});

export const queuesRoute = createRoute({
  getParentRoute: () => root,
  path: "/queues",
  component: lazyRouteComponent(() => import("./screens/queues"), "Queues"),
});

export const queueRoute = createRoute({
  getParentRoute: () => root,
  path: "/queues/$name",
  component: lazyRouteComponent(() => import("./screens/queue"), "QueueScreen"),
});

export const searchRoute = createRoute({
  getParentRoute: () => root,
  path: "/search",
  validateSearch: parseFilter,
  component: lazyRouteComponent(() => import("./screens/search"), "Search"),
});

export const workersRoute = createRoute({
  getParentRoute: () => root,
  path: "/workers",
  component: lazyRouteComponent(() => import("./screens/workers"), "Workers"),
});

export const newRoute = createRoute({
  getParentRoute: () => root,
  path: "/new",
  validateSearch: (search: Record<string, unknown>) => {
    const [kind, queue, from] = [text(search, "kind"), text(search, "queue"), text(search, "from")];
    return { ...(kind && { kind }), ...(queue && { queue }), ...(from && { from }) };
  },
  component: lazyRouteComponent(() => import("./screens/new-job"), "NewJob"),
});

export const auditRoute = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  component: lazyRouteComponent(() => import("./screens/audit"), "Audit"),
});

const tree = root.addChildren([
  tasksRoute,
  jobRoute,
  queuesRoute,
  queueRoute,
  searchRoute,
  workersRoute,
  newRoute,
  auditRoute,
]);

export const router = createRouter({
  routeTree: tree,
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
