/** Values that break careless code. The conformance worker and the unit tests use the same tables. */
import vm from "node:vm";
import { HandlerError, Outcome } from "../src/worker.js";

const thrower = (): never => {
  throw new Error("reading this throws");
};

function errorWith(name: "message" | "stack" | "cause" | "name", descriptor: PropertyDescriptor): Error {
  return Object.defineProperty(new Error("hostile"), name, { configurable: true, ...descriptor });
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function cyclicCause(): Error {
  const error = new Error("cyclic");
  error.cause = error;
  return error;
}

/** What a handler can throw. Every entry must become a failed attempt with some text. */
export const THROWN: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => "",
  () => Symbol("thrown"),
  () => 10n,
  () => Object.create(null),
  () => () => {},
  revokedProxy,
  () => new Proxy(new Error("proxy"), { get: thrower, getPrototypeOf: thrower, has: thrower }),
  () => errorWith("message", { get: thrower }),
  () => errorWith("stack", { get: thrower }),
  () => errorWith("cause", { get: thrower }),
  () => errorWith("message", { value: Symbol("message") }),
  () => errorWith("message", { value: { toString: thrower } }),
  () => errorWith("stack", { value: 5 }),
  () => errorWith("name", { get: thrower }),
  () => ({ toString: thrower }),
  () => ({ [Symbol.toPrimitive]: () => ({}) }),
  () => new Error("lone surrogate \ud800 in the message"),
  () => new Error("x".repeat(1024 * 1024)),
  () => new Error("nul \0 in the message"),
  cyclicCause,
  () => new AggregateError([new Error("first"), Object.create(null)], "several"),
  () => vm.runInNewContext("new TypeError('of another realm')"),
  () => new HandlerError("of odd types", { code: Symbol("code") as unknown as string }),
  () => new HandlerError("later", { nextDelayMs: 5n as unknown as number }),
  () => new HandlerError("later", { nextDelayMs: Number.NaN, retryable: {} as unknown as boolean }),
];

function cycle(): object {
  const items: unknown[] = [1];
  items.push({ items });
  return { items };
}

function deep(): unknown {
  let value: unknown = 1;
  for (let depth = 0; depth < 200_000; depth += 1) value = [value];
  return value;
}

/** What a handler can return that has no JSON form, and the path that the error names. */
export const RETURNED: readonly (readonly [() => unknown, string])[] = [
  [() => Number.NaN, "result: "],
  [() => ({ total: Number.POSITIVE_INFINITY }), "result.total: "],
  [() => ({ items: [0, 1, 2, Number.NEGATIVE_INFINITY] }), "result.items[3]: "],
  [() => 10n, "result: "],
  [() => [{ id: 10n }], "result[0].id: "],
  [() => () => {}, "result: "],
  [() => ({ "on-done": () => {} }), 'result["on-done"]: '],
  [() => Symbol("result"), "result: "],
  [() => [undefined], "result[0]: "],
  [cycle, "result.items[1].items: "],
  [() => new Map([["a", 1]]), "result: "],
  [() => ({ seen: new Set([1]) }), "result.seen: "],
  [() => ({ error: new Error("lost") }), "result.error: "],
  [() => ({ at: new Date(Number.NaN) }), "result.at: "],
  [() => ({ later: Promise.resolve(1) }), "result.later: "],
  [() => ({ pattern: /x/ }), "result.pattern: "],
  [() => ({ data: new Uint8Array(2) }), "result.data: "],
  [() => ({ data: new ArrayBuffer(2) }), "result.data: "],
  [() => ({ count: Object(Number.NaN) }), "result.count: "],
  [() => Object.defineProperty({}, "secret", { get: thrower, enumerable: true }), "result.secret: "],
  [() => ({ inner: { toJSON: thrower } }), "result.inner: "],
  [() => ({ inner: revokedProxy() }), "result.inner: "],
  [() => [new Proxy({}, { ownKeys: thrower })], "result[0]: "],
  [deep, "result[0][0]"],
];

/** Outcomes of plain JavaScript that the protocol cannot express. */
export const OUTCOMES: readonly (() => unknown)[] = [
  () => Outcome.snooze(Number.NaN),
  () => Outcome.snooze(-1),
  () => Outcome.snooze(5n as unknown as number),
  () => Outcome.snooze({} as unknown as number),
];

/** Numbers and texts for progress and log. */
export const ADVICE: readonly (readonly [unknown, unknown])[] = [
  [1e20, "too large"],
  [2 ** 64, "2^64"],
  [Number.MAX_VALUE, "largest"],
  [Number.NaN, "nan"],
  [-1, "negative"],
  [Number.POSITIVE_INFINITY, "infinity"],
  [Number.NEGATIVE_INFINITY, "minus infinity"],
  [2n ** 70n, "bigint"],
  [-5n, "negative bigint"],
  [0.1, "\ud800 and \udfff"],
  [1, "x".repeat(1024 * 1024)],
  [1, "nul \0"],
  [1, ""],
  ["12", { toString: thrower }],
  [undefined, undefined],
  [null, null],
  [{}, Object.create(null)],
  [Symbol("n"), Symbol("text")],
  [revokedProxy(), revokedProxy()],
  [1, "\u{1F600}".repeat(20_000)],
];
