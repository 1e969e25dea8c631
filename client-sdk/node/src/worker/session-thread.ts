/** The entry of the session's thread. */
import { parentPort, workerData } from "node:worker_threads";
import { ApiError, fromWire } from "../errors.js";
import type { FromSession, Setup, ToSession } from "./messages.js";
import { Session } from "./session.js";

const port = parentPort;
if (port === null) throw new Error("this module is the entry of a thread");

const tell = (message: FromSession, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const session = new Session(workerData as Setup, tell);
port.on("message", (messages: ToSession[]) => session.receive(messages));
session
  .run()
  .then(() => tell({ type: "over", error: undefined }))
  .catch((cause: unknown) => {
    const error = fromWire(cause);
    const [code, reason] = error instanceof ApiError ? [error.code, error.reason] : [undefined, ""];
    tell({ type: "over", error: { message: error.message, code, reason } });
  })
  .finally(() => port.close());
