//! The gRPC health status of all services. They change together.

use sentinel_proto::admin::v1::audit_service_server::AuditServiceServer;
use sentinel_proto::admin::v1::key_service_server::KeyServiceServer;
use sentinel_proto::admin::v1::queue_service_server::QueueServiceServer;
use sentinel_proto::admin::v1::worker_registry_service_server::WorkerRegistryServiceServer;
use sentinel_proto::jobs::v1::ingest_service_server::IngestServiceServer;
use sentinel_proto::jobs::v1::job_service_server::JobServiceServer;
use sentinel_proto::jobs::v1::kind_service_server::KindServiceServer;
use sentinel_proto::workers::v1::worker_service_server::WorkerServiceServer;
use tonic_health::server::HealthReporter;

use crate::service::{
    AuditApi, IngestApi, JobApi, KeyApi, KindApi, QueueApi, WorkerApi, WorkerRegistryApi,
};

/// Reports SERVING for every service.
pub(super) async fn set_serving(health: &HealthReporter) {
    health.set_serving::<JobServiceServer<JobApi>>().await;
    health.set_serving::<IngestServiceServer<IngestApi>>().await;
    health.set_serving::<QueueServiceServer<QueueApi>>().await;
    health.set_serving::<KindServiceServer<KindApi>>().await;
    health.set_serving::<WorkerRegistryServiceServer<WorkerRegistryApi>>().await;
    health.set_serving::<WorkerServiceServer<WorkerApi>>().await;
    health.set_serving::<KeyServiceServer<KeyApi>>().await;
    health.set_serving::<AuditServiceServer<AuditApi>>().await;
}

/// Reports NOT_SERVING for every service.
pub(super) async fn set_not_serving(health: &HealthReporter) {
    health.set_not_serving::<JobServiceServer<JobApi>>().await;
    health.set_not_serving::<IngestServiceServer<IngestApi>>().await;
    health.set_not_serving::<QueueServiceServer<QueueApi>>().await;
    health.set_not_serving::<KindServiceServer<KindApi>>().await;
    health.set_not_serving::<WorkerRegistryServiceServer<WorkerRegistryApi>>().await;
    health.set_not_serving::<WorkerServiceServer<WorkerApi>>().await;
    health.set_not_serving::<KeyServiceServer<KeyApi>>().await;
    health.set_not_serving::<AuditServiceServer<AuditApi>>().await;
}
