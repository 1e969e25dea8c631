/** Makes messages work with `JSON.stringify`, which fails on the bigints of generated messages. */
import { type DescMessage, type Message, toJson } from "@bufbuild/protobuf";

/**
 * Adds a `toJSON` method to a message and to all messages in it: the proto3 JSON mapping, with 64-bit integers
 * as text, bytes as base64 and times as RFC 3339. The method is not enumerable, so copies and comparisons of the
 * message do not see it. Returns the message.
 */
export function withJson<T extends Message>(schema: DescMessage, message: T): T {
  // A message from a cache or a default value can have it already.
  if (!Object.hasOwn(message, "toJSON")) {
    Object.defineProperty(message, "toJSON", { value: () => toJson(schema, message), enumerable: false });
  }
  const fields = message as unknown as Record<string, unknown>;
  for (const field of schema.fields) {
    if (field.message === undefined) continue;
    const value =
      field.oneof === undefined ? fields[field.localName] : oneofValue(fields, field.oneof.localName, field.localName);
    if (value === undefined || value === null) continue;
    if (field.fieldKind === "message") withJson(field.message, value as Message);
    else if (field.fieldKind === "list") for (const item of value as Message[]) withJson(field.message, item);
    else if (field.fieldKind === "map")
      for (const item of Object.values(value)) withJson(field.message, item as Message);
  }
  return message;
}

function oneofValue(fields: Record<string, unknown>, oneof: string, field: string): unknown {
  const selected = fields[oneof] as { case?: string; value?: unknown } | undefined;
  return selected?.case === field ? selected.value : undefined;
}
