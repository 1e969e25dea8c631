// For other pages: live jobs over one stream.
export { overHttp } from "../rpc/clients";
export { LiveProvider, useJob, useJobLogs, useLine, useSummary } from "./hooks";
export { type Line, LiveHub } from "./hub";
