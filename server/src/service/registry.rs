//! Implements WorkerRegistryService.

use sentinel_domain::WorkerId;
use sentinel_engine::Engine;
use sentinel_proto::admin::v1 as wire;
use sentinel_proto::admin::v1::worker_registry_service_server::WorkerRegistryService;
use tonic::{Request, Response, Status};

use super::status::{invalid_field, to_status};
use super::{from_wire, to_wire};
use crate::identity::Caller;

/// The page size if `page_size` is 0.
const PAGE_DEFAULT: u64 = 100;

/// Implements WorkerRegistryService.
#[derive(Clone)]
pub struct WorkerRegistryApi {
    engine: Engine,
}

impl WorkerRegistryApi {
    /// Creates the service.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

#[tonic::async_trait]
impl WorkerRegistryService for WorkerRegistryApi {
    async fn list_workers(
        &self,
        request: Request<wire::ListWorkersRequest>,
    ) -> Result<Response<wire::ListWorkersResponse>, Status> {
        let request = request.into_inner();
        let size = from_wire::page_size(request.page_size, PAGE_DEFAULT)?;
        let after = from_wire::page_token::<WorkerId>(&request.page_token)?;
        let page = self.engine.workers().list(after, size).await.map_err(to_status)?;
        let last = page.workers.last().filter(|_| page.has_more);
        let next_page_token = last.map(|worker| worker.id.to_string()).unwrap_or_default();
        let workers = page.workers.into_iter().map(to_wire::worker).collect();
        Ok(Response::new(wire::ListWorkersResponse { workers, next_page_token }))
    }

    async fn drain_worker(
        &self,
        request: Request<wire::DrainWorkerRequest>,
    ) -> Result<Response<wire::DrainWorkerResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        caller.set_audit_details(&request.id, "", &request.actor);
        from_wire::actor(&request.actor)?;
        let id = request.id.parse::<WorkerId>().map_err(|_| {
            let shown = from_wire::truncated(&request.id);
            invalid_field("id", format!("{shown:?} is not a UUID"))
        })?;
        let worker = self.engine.workers().drain(id).await.map_err(to_status)?;
        Ok(Response::new(wire::DrainWorkerResponse { worker: Some(to_wire::worker(worker)) }))
    }
}
