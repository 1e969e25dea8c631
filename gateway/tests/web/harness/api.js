// Clients built from the descriptors of the API, without generated code.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ROOT } from "./process.js";

const set = fromBinary(
  FileDescriptorSetSchema,
  readFileSync(join(ROOT, "proto/src/gen/descriptors.bin")),
);
const registry = createFileRegistry(set);

export const JobService = registry.getService("sentinel.jobs.v1.JobService");
export const KindService = registry.getService("sentinel.jobs.v1.KindService");
export const QueueService = registry.getService("sentinel.admin.v1.QueueService");
export const KeyService = registry.getService("sentinel.admin.v1.KeyService");

/** google.rpc.ErrorInfo, which every error has, with the fields that the tests read. */
export const ErrorInfo = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: "google/rpc/error_details.proto",
    package: "google.rpc",
    syntax: "proto3",
    messageType: [
      {
        name: "ErrorInfo",
        field: [field("reason", 1), field("domain", 2)],
      },
    ],
  }),
  () => undefined,
).getMessage("google.rpc.ErrorInfo");

function field(name, number) {
  return { name, jsonName: name, number, type: Type.STRING, label: Label.OPTIONAL };
}

/** Returns the reason of an error. */
export function reasonOf(error) {
  return error.findDetails?.(ErrorInfo)[0]?.reason;
}

/** Returns the numbers of an enum by name, without the prefix of the names. */
function enumNumbers(name, prefix) {
  const values = registry.getEnum(`sentinel.jobs.v1.${name}`).values;
  return Object.fromEntries(values.map((value) => [value.name.slice(prefix.length), value.number]));
}

export const State = enumNumbers("JobState", "JOB_STATE_");
export const DependencyFailurePolicy = enumNumbers(
  "DependencyFailurePolicy",
  "DEPENDENCY_FAILURE_POLICY_",
);

/** Returns a gRPC-Web client. `headers` are sent with every call. */
export function webClient(service, baseUrl, { headers = {}, ...options } = {}) {
  const addHeaders = (next) => (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };
  const transport = createGrpcWebTransport({ baseUrl, interceptors: [addHeaders], ...options });
  return createClient(service, transport);
}

/** Returns the spec of a job of the kind `demo.<kind>`. */
export function demo(kind, payload = {}, more = {}) {
  const bytes = new TextEncoder().encode(JSON.stringify(payload));
  return {
    queue: "default",
    kind: `demo.${kind}`,
    payload: bytes,
    contentType: "application/json",
    ...more,
  };
}

/** Encodes a message as a gRPC-Web frame. */
export function frame(schema, init) {
  const message = toBinary(schema, create(schema, init));
  const framed = Buffer.alloc(5 + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}

/** Decodes the messages and the trailers in a gRPC-Web body. */
export function unframe(schema, body) {
  const messages = [];
  let trailers = {};
  for (let at = 0; at < body.length; ) {
    const size = body.readUInt32BE(at + 1);
    const content = body.subarray(at + 5, at + 5 + size);
    if (body[at] & 0x80) {
      const lines = content.toString().split("\r\n").filter(Boolean);
      trailers = Object.fromEntries(lines.map((line) => line.split(/: ?(.*)/s)));
    } else {
      messages.push(fromBinary(schema, content));
    }
    at += 5 + size;
  }
  return { messages, trailers };
}
