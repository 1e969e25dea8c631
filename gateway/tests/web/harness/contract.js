// The contract as the server publishes it, without generated code: a new call or field is there
// at once.
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

/** google.rpc.ErrorInfo, which every error carries; as much of it as is read here. */
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

/** The reason that clients branch on. */
export function reasonOf(error) {
  return error.findDetails?.(ErrorInfo)[0]?.reason;
}

/** The numbers of an enum by the names without their prefix. */
function numbers(name, prefix) {
  const values = registry.getEnum(`sentinel.jobs.v1.${name}`).values;
  return Object.fromEntries(values.map((value) => [value.name.slice(prefix.length), value.number]));
}

export const State = numbers("JobState", "JOB_STATE_");
export const DependencyFailurePolicy = numbers(
  "DependencyFailurePolicy",
  "DEPENDENCY_FAILURE_POLICY_",
);

/** A client as a page has it; `headers` are sent with each call. */
export function webClient(service, baseUrl, { headers = {}, ...options } = {}) {
  const bring = (next) => (request) => {
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };
  const transport = createGrpcWebTransport({ baseUrl, interceptors: [bring], ...options });
  return createClient(service, transport);
}

/** A job of `demo.<kind>`. */
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

/** One message of gRPC-Web as it is on the wire. */
export function frame(schema, init) {
  const message = toBinary(schema, create(schema, init));
  const framed = Buffer.alloc(5 + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}

/** The messages and the trailers of a body of gRPC-Web. */
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
