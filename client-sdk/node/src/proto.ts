/** The wire contract of JobService and QueueService: messages, enums and service descriptors. */
export * from "./gen/sentinel/admin/v1/queue_service_pb.js";
export * from "./gen/sentinel/jobs/v1/job_pb.js";
export * from "./gen/sentinel/jobs/v1/job_service_pb.js";
