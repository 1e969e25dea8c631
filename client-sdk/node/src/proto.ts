/** The wire contract of JobService: messages, enums and service descriptors. */
export * from "./gen/sentinel/jobs/v1/job_pb.js";
export * from "./gen/sentinel/jobs/v1/job_service_pb.js";
