/** The entry point of the session's thread. */
import { parentPort, workerData } from "node:worker_threads";
import { ApiError } from "../errors.js";
import { fromGrpcError } from "../grpc-error.js";
import { Session } from "./session.js";
import type { FromSession, SessionConfig, ToSession } from "./thread-messages.js";

const port = parentPort;
if (port === null) throw new Error("session-thread.js must run in a worker thread");

const send = (message: FromSession, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const session = new Session(workerData as SessionConfig, send);
port.on("message", (messages: ToSession[]) => session.receive(messages));
session
  .run()
  .then(() => send({ type: "closed", error: undefined }))
  .catch((cause: unknown) => {
    const error = fromGrpcError(cause);
    const [code, reason] = error instanceof ApiError ? [error.code, error.reason] : [undefined, ""];
    send({ type: "closed", error: { message: error.message, code, reason } });
  })
  .finally(() => port.close());
