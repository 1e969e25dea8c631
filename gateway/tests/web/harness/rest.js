// REST as a caller without any library has it: fetch, and events read from a body.
import { until } from "./wait.js";

/** One request; the answer with its JSON. */
export async function call(url, method, path, body, headers = {}) {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const type = text === undefined ? {} : { "content-type": "application/json" };
  const answer = await fetch(url + path, { method, body: text, headers: { ...type, ...headers } });
  const said = await answer.text();
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  return {
    status: answer.status,
    headers: answer.headers,
    text: said,
    json: isJson && said ? JSON.parse(said) : undefined,
  };
}

/** The events of a stream as they come, until it ends or breaks. */
export async function* events(url, path, lastEventId) {
  const headers = { accept: "text/event-stream" };
  if (lastEventId) headers["last-event-id"] = lastEventId;
  const answer = await fetch(url + path, { headers });
  if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
  let text = "";
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
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

/** The lines of a stream as they come. */
export async function* lines(url, path, init = {}) {
  const answer = await fetch(url + path, init);
  if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
  let text = "";
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    const whole = text.split("\n");
    text = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

/** A job once it is in a state. */
export async function inState(url, id, state) {
  return until(`job ${id} is ${state}`, async () => {
    const { json } = await call(url, "GET", `/v1/jobs/${id}`);
    return json.job.state === state && json.job;
  });
}
