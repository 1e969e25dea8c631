/**
 * A strict JSON writer. `JSON.stringify` writes NaN as null, a Map as {} and drops functions, so that data is
 * lost without an error; this writer refuses what has no JSON form and names its path.
 */
import { InvalidArgumentError } from "./errors.js";
import { textOf, truncate } from "./text.js";

const MAX_PATH_BYTES = 256;

export class JsonWriter {
  /** The path of the value that is written now. */
  readonly #path: string[];
  /** The objects that contain the value that is written now. */
  readonly #open = new Set<object>();

  constructor(name: string) {
    this.#path = [name];
  }

  /** @throws InvalidArgumentError that names the offending part. No other exception. */
  write(value: unknown): string {
    try {
      return this.#value(value, "");
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw error;
      // A stack overflow, or code of the value (a getter, toJSON, a proxy) that threw.
      if (error instanceof RangeError && this.#path.length > 500) throw this.#refused("it is nested too deeply");
      throw this.#refused(`it cannot be read: ${textOf(error)}`);
    }
  }

  #value(value: unknown, key: string): string {
    switch (typeof value) {
      case "string":
        return JSON.stringify(value);
      case "number":
        if (!Number.isFinite(value)) throw this.#refused(`${value} has no JSON form`);
        return JSON.stringify(value);
      case "boolean":
        return String(value);
      case "object":
        return value === null ? "null" : this.#object(value, key);
      case "bigint":
        throw this.#refused("a bigint has no JSON form; convert it with String() or Number()");
      default:
        throw this.#refused(`${typeof value === "undefined" ? "undefined" : `a ${typeof value}`} has no JSON form`);
    }
  }

  #object(value: object, key: string): string {
    if (this.#open.has(value)) throw this.#refused("it contains itself");
    this.#open.add(value);
    const text = this.#contents(value, key);
    this.#open.delete(value);
    return text;
  }

  #contents(value: object, key: string): string {
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === "function") {
      const replaced: unknown = toJSON.call(value, key);
      const isInvalidDate = replaced === null && Object.prototype.toString.call(value) === "[object Date]";
      if (isInvalidDate) throw this.#refused("an invalid Date has no JSON form");
      return this.#value(replaced, key);
    }
    if (Array.isArray(value)) return this.#array(value);
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    switch (tag) {
      case "Object":
        return this.#members(value);
      case "String":
      case "Number":
      case "Boolean":
        return this.#value(value.valueOf(), key);
      default:
        throw this.#refused(`an object of type ${tag} has no JSON form; convert it first`);
    }
  }

  #array(items: readonly unknown[]): string {
    const parts: string[] = [];
    for (let index = 0; index < items.length; index += 1) {
      this.#path.push(`[${index}]`);
      parts.push(this.#value(items[index], String(index)));
      this.#path.pop();
    }
    return `[${parts.join(",")}]`;
  }

  /** Members that are undefined are omitted, as by `JSON.stringify`: they mean "not set". */
  #members(value: object): string {
    const parts: string[] = [];
    for (const key of Object.keys(value)) {
      this.#path.push(/^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`);
      const member = (value as Record<string, unknown>)[key];
      if (member !== undefined) parts.push(`${JSON.stringify(key)}:${this.#value(member, key)}`);
      this.#path.pop();
    }
    return `{${parts.join(",")}}`;
  }

  #refused(reason: string): InvalidArgumentError {
    const path = this.#path.slice(0, 50).join("");
    return new InvalidArgumentError(`${truncate(path, MAX_PATH_BYTES)}: ${reason}`);
  }
}
