// The shared worker: the one stream of the browser.
import { createHttpClients } from "../rpc/clients";
import { browser, LiveHub } from "./hub";
import { SharedStream, type TabMessage } from "./shared-stream";

/** A worker has no frames. Changes are sent to the tabs this often. */
const UPDATE_INTERVAL_MS = 50;

// The types of the DOM, which the panel uses, have no scope of a shared worker.
const scope = globalThis as unknown as {
  location: Location;
  onconnect: (event: MessageEvent) => void;
};

const clients = createHttpClients(scope.location.origin);
const environment = {
  ...browser,
  onNextFrame: (run: () => void) => void setTimeout(run, UPDATE_INTERVAL_MS),
};
const stream = new SharedStream(
  () => new LiveHub((request, options) => clients.jobs.watch(request, options), environment),
);

scope.onconnect = ({ ports: [tab] }) => {
  if (!tab) return;
  tab.onmessage = ({ data, ports: [port] }: MessageEvent<TabMessage>) => stream.receive(data, port);
};
