// gRPC-Web clients of the services, for the origin that served the page. The API key is in a
// cookie that scripts cannot read.
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AuditService } from "../gen/sentinel/admin/v1/audit_service_pb";
import { KeyService } from "../gen/sentinel/admin/v1/key_service_pb";
import { QueueService } from "../gen/sentinel/admin/v1/queue_service_pb";
import { WorkerRegistryService } from "../gen/sentinel/admin/v1/worker_registry_service_pb";
import { JobService } from "../gen/sentinel/jobs/v1/job_service_pb";
import { KindService } from "../gen/sentinel/jobs/v1/kind_service_pb";

export interface Clients {
  jobs: Client<typeof JobService>;
  kinds: Client<typeof KindService>;
  queues: Client<typeof QueueService>;
  workers: Client<typeof WorkerRegistryService>;
  audit: Client<typeof AuditService>;
  keys: Client<typeof KeyService>;
}

export function createClients(transport: Transport): Clients {
  return {
    jobs: createClient(JobService, transport),
    kinds: createClient(KindService, transport),
    queues: createClient(QueueService, transport),
    workers: createClient(WorkerRegistryService, transport),
    audit: createClient(AuditService, transport),
    keys: createClient(KeyService, transport),
  };
}

export function createHttpClients(baseUrl: string): Clients {
  return createClients(createGrpcWebTransport({ baseUrl, useBinaryFormat: true }));
}
