/** Describes what a handler threw. Total: it returns a failure for every value, whatever reading the value does. */
import { textOf, truncate, tryOr } from "../text.js";
import { MAX_DETAIL_BYTES, MAX_MESSAGE_BYTES } from "./constants.js";

const MAX_CAUSES = 10;
/** How many errors of an AggregateError are described. */
const MAX_ERRORS = 10;

/** `value instanceof Error` for errors of any realm (Jest, vm). A proxy can make the check throw. */
export function isError(value: unknown): value is Error {
  const isTagged = () => Object.prototype.toString.call(value) === "[object Error]";
  return tryOr(() => value instanceof Error || isTagged(), false);
}

/** The message of the error and of its causes, never empty. */
export function messageOf(thrown: unknown): string {
  const messages = chainOf(thrown).map((error) => truncate(textOf(error), MAX_MESSAGE_BYTES));
  const message = messages.filter((text) => text !== "").join(": ");
  return truncate(message || `the handler threw an empty value of type ${typeof thrown}`, MAX_MESSAGE_BYTES);
}

/** The stacks of the error and of its causes. Empty for values without a stack. */
export function detailOf(thrown: unknown): string {
  const stacks = chainOf(thrown).map((error) => withErrors(error, stackOf(error)));
  return truncate(stacks.filter((stack) => stack !== "").join("\nCaused by: "), MAX_DETAIL_BYTES);
}

/** The thrown value and its causes. The number is limited because causes can be cyclic. */
function chainOf(thrown: unknown): unknown[] {
  const chain = [thrown];
  for (let error = thrown; isError(error) && chain.length < MAX_CAUSES; ) {
    const current: Error = error;
    error = tryOr(() => current.cause, undefined);
    if (error === undefined || error === null) break;
    chain.push(error);
  }
  return chain;
}

function stackOf(error: unknown): string {
  if (!isError(error)) return textOf(error);
  // Bounded before it is joined: a message, and with it the stack, can have any size.
  const stack = tryOr((): unknown => error.stack, undefined);
  return typeof stack === "string" && stack !== "" ? shortened(stack.toWellFormed()) : textOf(error);
}

/** Keeps the frames of a stack whose message takes the whole limit. */
function shortened(stack: string): string {
  if (stack.length <= MAX_DETAIL_BYTES / 2) return stack;
  const frames = stack.lastIndexOf("\n    at ") === -1 ? -1 : stack.search(/\n {4}at /);
  if (frames === -1) return truncate(stack, MAX_DETAIL_BYTES);
  return `${truncate(stack.slice(0, frames), MAX_DETAIL_BYTES / 4)}…${truncate(stack.slice(frames), MAX_DETAIL_BYTES / 2)}`;
}

/** Adds the errors of an AggregateError. */
function withErrors(error: unknown, stack: string): string {
  const errors = tryOr((): unknown => (error instanceof AggregateError ? [...error.errors] : []), []);
  const parts = (errors as unknown[]).slice(0, MAX_ERRORS).map((part) => `\nwith: ${stackOf(part)}`);
  return stack + parts.join("");
}
