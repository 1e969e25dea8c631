// Tests of API keys, roles, the session cookie and cross-origin requests.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { demo, JobService, KeyService, reasonOf, webClient } from "../harness/api.js";
import { TestEnvironment } from "../harness/environment.js";
import { until, within } from "../harness/wait.js";

const SHOP = "https://shop.example";
const OTHER = "https://other.example";

const env = await TestEnvironment.start({
  server: ["--credentials", "required"],
  gateway: ["--allow-origin", SHOP],
});
after(() => env.stop());

const bearer = (key) => ({ authorization: `Bearer ${key}` });
const clientOf = (key, service = JobService) =>
  webClient(service, env.url, { headers: bearer(key) });
const { credential: admin } = await env.key("root", "admin");
const { credential: viewer } = await env.key("watcher", "viewer");
await until("the server accepts the keys", () => clientOf(viewer).counts({}));

const refusedWith = (code, reason) => (error) => {
  assert.equal(error.code, code, String(error));
  assert.equal(reasonOf(error), reason);
  return true;
};

test("a call without a key or with an invalid key is unauthenticated", async () => {
  await assert.rejects(
    webClient(JobService, env.url).counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_MISSING"),
  );
  await assert.rejects(
    clientOf("snt_wrong").counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_INVALID"),
  );
});

test("a key has the permissions of its role", async () => {
  await assert.rejects(
    clientOf(viewer).enqueue({ spec: demo("noop") }),
    refusedWith(Code.PermissionDenied, "ROLE_NOT_ALLOWED"),
  );
  const { job } = await clientOf(admin).enqueue({ spec: demo("noop") });
  assert.equal((await clientOf(viewer).get({ id: job.id })).job.id, job.id);
});

test("the stream of a revoked or expired key closes with the reason", async () => {
  const keys = clientOf(admin, KeyService);
  const expiring = await keys.createKey({
    name: "expiring",
    role: 1,
    expiresAt: { seconds: BigInt(Math.ceil(Date.now() / 1000) + 3), nanos: 0 },
  });
  const revoked = await keys.createKey({ name: "revoked", role: 1 });
  const streamOf = (key) =>
    within(
      "the stream of the key closes",
      (async () => {
        for await (const _ of clientOf(key).watch({ selector: { case: "filter", value: {} } }));
      })(),
    );
  const streams = [streamOf(expiring.credential), streamOf(revoked.credential)];
  for (const stream of streams) stream.catch(() => {});
  await env.watchers(2);
  await keys.revokeKey({ id: revoked.key.id });
  await assert.rejects(streams[0], refusedWith(Code.Unauthenticated, "CREDENTIAL_EXPIRED"));
  await assert.rejects(streams[1], refusedWith(Code.Unauthenticated, "CREDENTIAL_REVOKED"));
  await assert.rejects(
    clientOf(revoked.credential).counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_REVOKED"),
  );
});

const session = (init = {}) => fetch(`${env.url}/session`, init);
const signIn = (key, headers = {}) =>
  session({
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ key }),
  });

test("signing in sets a cookie with the key, and signing out deletes it", async () => {
  assert.deepEqual(await (await session()).json(), { signedIn: false });
  const response = await signIn(viewer);
  assert.equal(response.status, 204);
  const setCookie = response.headers.get("set-cookie");
  assert.match(setCookie, /^sentinel_key=/);
  assert.match(setCookie, /HttpOnly/);
  assert.match(setCookie, /SameSite=Strict/);
  const cookie = setCookie.split(";")[0];
  assert.deepEqual(await (await session({ headers: { cookie } })).json(), { signedIn: true });
  await webClient(JobService, env.url, { headers: { cookie } }).counts({});

  const signedOut = await session({ method: "DELETE", headers: { cookie } });
  assert.equal(signedOut.status, 204);
  assert.match(signedOut.headers.get("set-cookie"), /Max-Age=0/);
});

test("signing in with an invalid key is refused with a description", async () => {
  const response = await signIn("snt_wrong");
  assert.equal(response.status, 401);
  const { error } = await response.json();
  assert.equal(error.code, "UNAUTHENTICATED");
  assert.match(error.message, /key/);
  assert.equal(response.headers.get("set-cookie"), null);
  assert.equal((await session({ method: "POST", body: "not JSON" })).status, 400);
});

test("the cookie is ignored in cross-site requests", async () => {
  const cookie = (await signIn(viewer)).headers.get("set-cookie").split(";")[0];
  const crossSite = { cookie, "sec-fetch-site": "cross-site" };
  await assert.rejects(
    webClient(JobService, env.url, { headers: crossSite }).counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_MISSING"),
  );
  // A listed origin may call with an API key, but not with the cookie.
  await assert.rejects(
    webClient(JobService, env.url, { headers: { cookie, origin: SHOP } }).counts({}),
    refusedWith(Code.Unauthenticated, "CREDENTIAL_MISSING"),
  );
  const crossOrigin = await signIn(viewer, { origin: SHOP, "sec-fetch-site": "cross-site" });
  assert.equal(crossOrigin.status, 403);
  assert.equal(crossOrigin.headers.get("set-cookie"), null);
});

test("a page of a listed origin may call, and a page of another origin may not", async () => {
  const preflight = (origin) =>
    fetch(`${env.url}/${JobService.typeName}/Counts`, {
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
  const refused = await preflight(OTHER);
  assert.equal(refused.headers.get("access-control-allow-origin"), null);

  await webClient(JobService, env.url, { headers: { ...bearer(viewer), origin: SHOP } }).counts({});
  await assert.rejects(
    webClient(JobService, env.url, { headers: { ...bearer(viewer), origin: OTHER } }).counts({}),
    refusedWith(Code.PermissionDenied, "ORIGIN_NOT_ALLOWED"),
  );
});

test("a page of a listed origin may read the gRPC status headers", async () => {
  const response = await fetch(`${env.url}/${JobService.typeName}/Counts`, {
    method: "POST",
    headers: { origin: SHOP, "content-type": "application/grpc-web+proto" },
    body: Buffer.alloc(5),
  });
  assert.equal(response.headers.get("access-control-allow-origin"), SHOP);
  const exposed = response.headers.get("access-control-expose-headers").toLowerCase();
  for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin"]) {
    assert.ok(exposed.includes(name), exposed);
  }
});
