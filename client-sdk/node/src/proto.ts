/** The wire contract: every message and enum of the JobService, and the descriptors of the services. */
export * from "./gen/sentinel/jobs/v1/job_pb.js";
export * from "./gen/sentinel/jobs/v1/job_service_pb.js";
