// A REST client on top of fetch, with parsers for server-sent events and JSON lines.
import { until } from "./wait.js";

/** Sends a request and returns the response with its body, parsed when it is JSON. */
export async function call(url, method, path, body, headers = {}) {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const type = text === undefined ? {} : { "content-type": "application/json" };
  const response = await fetch(url + path, {
    method,
    body: text,
    headers: { ...type, ...headers },
  });
  const responseText = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  return {
    status: response.status,
    headers: response.headers,
    text: responseText,
    json: isJson && responseText ? JSON.parse(responseText) : undefined,
  };
}

/** Yields the events of a stream until it ends or fails. */
export async function* events(url, path, lastEventId) {
  const headers = { accept: "text/event-stream" };
  if (lastEventId) headers["last-event-id"] = lastEventId;
  const response = await fetch(url + path, { headers });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = block.split("\n").filter((line) => line && !line.startsWith(":"));
      const event = Object.fromEntries(fields.map((line) => line.split(/: ?(.*)/s)));
      if (event.event) yield { ...event, data: JSON.parse(event.data) };
    }
  }
}

/** Yields the lines of a stream. */
export async function* lines(url, path, init = {}) {
  const response = await fetch(url + path, init);
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    const complete = text.split("\n");
    text = complete.pop();
    for (const line of complete) yield JSON.parse(line);
  }
}

/** Waits until a job is in a state, and returns the job. */
export async function inState(url, id, state) {
  return until(`job ${id} is ${state}`, async () => {
    const { json } = await call(url, "GET", `/v1/jobs/${id}`);
    return json.job.state === state && json.job;
  });
}
