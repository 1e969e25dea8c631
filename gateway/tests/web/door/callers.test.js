// Who may call, and from which page: keys, roles, the session cookie, other origins.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { demo, JobService, KeyService, reasonOf, webClient } from "../harness/contract.js";
import { until, within } from "../harness/wait.js";
import { World } from "../harness/world.js";

const SHOP = "https://shop.example";
const STRANGER = "https://stranger.example";

const world = await World.start({
  server: ["--credentials", "required"],
  gateway: ["--allow-origin", SHOP],
});
after(() => world.stop());

const bearer = (key) => ({ authorization: `Bearer ${key}` });
const as = (key, service = JobService) => webClient(service, world.url, { headers: bearer(key) });
const { credential: admin } = await world.key("root", "admin");
const { credential: viewer } = await world.key("watcher", "viewer");
await until("the server knows the keys", () => as(viewer).counts({}));

const refusedWith = (code, reason) => (error) => {
  assert.equal(error.code, code, String(error));
  assert.equal(reasonOf(error), reason);
  return true;
};

test("a call without a key, or with a wrong one, is told what is wrong", async () => {
  await assert.rejects(
    webClient(JobService, world.url).counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_MISSING"),
  );
  await assert.rejects(
    as("snt_wrong").counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_INVALID"),
  );
});

test("a key does what its role may, and no more", async () => {
  await assert.rejects(
    as(viewer).enqueue({ spec: demo("noop") }),
    refusedWith(Code.PermissionDenied, "ROLE_NOT_ALLOWED"),
  );
  const { job } = await as(admin).enqueue({ spec: demo("noop") });
  assert.equal((await as(viewer).get({ id: job.id })).job.id, job.id);
});

test("a key that is revoked or over ends its stream with the reason", async () => {
  const keys = as(admin, KeyService);
  const short = await keys.createKey({
    name: "short",
    role: 1,
    expiresAt: { seconds: BigInt(Math.ceil(Date.now() / 1000) + 3), nanos: 0 },
  });
  const revoked = await keys.createKey({ name: "gone", role: 1 });
  const ends = (key) =>
    within(
      "the stream ends with its key",
      (async () => {
        for await (const _ of as(key).watch({ selector: { case: "filter", value: {} } }));
      })(),
    );
  const streams = [ends(short.credential), ends(revoked.credential)];
  streams.forEach((stream) => stream.catch(() => {}));
  await world.watchers(2);
  await keys.revokeKey({ id: revoked.key.id });
  await assert.rejects(streams[0], refusedWith(Code.Unauthenticated, "CREDENTIAL_EXPIRED"));
  await assert.rejects(streams[1], refusedWith(Code.Unauthenticated, "CREDENTIAL_REVOKED"));
  await assert.rejects(
    as(revoked.credential).counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_REVOKED"),
  );
});

const session = (init = {}) => fetch(`${world.url}/session`, init);
const signIn = (key, headers = {}) =>
  session({
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ key }),
  });

test("signing in gives a cookie that stands for the key, signing out takes it away", async () => {
  assert.deepEqual(await (await session()).json(), { signedIn: false });
  const answer = await signIn(viewer);
  assert.equal(answer.status, 204);
  const set = answer.headers.get("set-cookie");
  assert.match(set, /^sentinel_key=/);
  assert.match(set, /HttpOnly/);
  assert.match(set, /SameSite=Strict/);
  const cookie = set.split(";")[0];
  assert.deepEqual(await (await session({ headers: { cookie } })).json(), { signedIn: true });
  await webClient(JobService, world.url, { headers: { cookie } }).counts({});

  const out = await session({ method: "DELETE", headers: { cookie } });
  assert.equal(out.status, 204);
  assert.match(out.headers.get("set-cookie"), /Max-Age=0/);
});

test("signing in with a wrong key is refused in words", async () => {
  const answer = await signIn("snt_wrong");
  assert.equal(answer.status, 401);
  const { error } = await answer.json();
  assert.equal(error.code, "UNAUTHENTICATED");
  assert.match(error.message, /key/);
  assert.equal(answer.headers.get("set-cookie"), null);
  assert.equal((await session({ method: "POST", body: "no JSON" })).status, 400);
});

test("the cookie is worth nothing on a request of another site", async () => {
  const cookie = (await signIn(viewer)).headers.get("set-cookie").split(";")[0];
  const crossSite = { cookie, "sec-fetch-site": "cross-site" };
  await assert.rejects(
    webClient(JobService, world.url, { headers: crossSite }).counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_MISSING"),
  );
  // An origin on the list may call with a key of its own, not with the cookie.
  await assert.rejects(
    webClient(JobService, world.url, { headers: { cookie, origin: SHOP } }).counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_MISSING"),
  );
  const signedIn = await signIn(viewer, { origin: SHOP, "sec-fetch-site": "cross-site" });
  assert.equal(signedIn.status, 403);
  assert.equal(signedIn.headers.get("set-cookie"), null);
});

test("a page of a listed origin may call, one of another may not", async () => {
  const preflight = (origin) =>
    fetch(`${world.url}/${JobService.typeName}/Counts`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-grpc-web",
      },
    });
  const allowed = await preflight(SHOP);
  assert.ok(allowed.ok);
  assert.equal(allowed.headers.get("access-control-allow-origin"), SHOP);
  const headers = allowed.headers.get("access-control-allow-headers").toLowerCase();
  for (const name of ["authorization", "content-type", "x-grpc-web"])
    assert.ok(headers.includes(name), headers);
  assert.equal(allowed.headers.get("access-control-allow-credentials"), null);
  const refused = await preflight(STRANGER);
  assert.equal(refused.headers.get("access-control-allow-origin"), null);

  await webClient(JobService, world.url, { headers: { ...bearer(viewer), origin: SHOP } }).counts(
    {},
  );
  await assert.rejects(
    webClient(JobService, world.url, { headers: { ...bearer(viewer), origin: STRANGER } }).counts(
      {},
    ),
    refusedWith(Code.PermissionDenied, "ORIGIN_NOT_ALLOWED"),
  );
});

test("a listed page may read the answer's trailers", async () => {
  const answer = await fetch(`${world.url}/${JobService.typeName}/Counts`, {
    method: "POST",
    headers: { origin: SHOP, "content-type": "application/grpc-web+proto" },
    body: Buffer.alloc(5),
  });
  assert.equal(answer.headers.get("access-control-allow-origin"), SHOP);
  const exposed = answer.headers.get("access-control-expose-headers").toLowerCase();
  for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin"]) {
    assert.ok(exposed.includes(name), exposed);
  }
});
