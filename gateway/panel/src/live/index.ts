// Exports for use in other pages: live jobs over one Watch stream.
export { createHttpClients } from "../rpc/clients";
export { LiveProvider, useConnection, useJob, useJobLogs, useSummary } from "./hooks";
export { type ConnectionState, LiveHub } from "./hub";
