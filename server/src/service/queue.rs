//! Implements QueueService.

use sentinel_domain::{Queue, QueueMode, check_name};
use sentinel_engine::Engine;
use sentinel_proto::admin::v1 as wire;
use sentinel_proto::admin::v1::queue_service_server::QueueService;
use tonic::{Request, Response, Status};

use super::status::{invalid_field, to_status};
use super::{from_wire, to_wire};
use crate::identity::Caller;

/// The page size if `page_size` is 0.
const PAGE_DEFAULT: u64 = 100;

/// Implements QueueService.
#[derive(Clone)]
pub struct QueueApi {
    engine: Engine,
}

impl QueueApi {
    /// Creates the service.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn set_mode(
        &self,
        caller: &Caller,
        (name, actor): (&str, &str),
        mode: QueueMode,
    ) -> Result<Option<wire::Queue>, Status> {
        caller.set_audit_details(name, "", actor);
        from_wire::actor(actor)?;
        caller.check_queue(name)?;
        let queue = self.engine.queues().update(name, |queue| queue.mode = mode).await;
        Ok(Some(to_wire::queue(&*queue.map_err(to_status)?)))
    }
}

#[tonic::async_trait]
impl QueueService for QueueApi {
    async fn create_queue(
        &self,
        request: Request<wire::CreateQueueRequest>,
    ) -> Result<Response<wire::CreateQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let name = request.queue.as_ref().map(|queue| queue.name.as_str()).unwrap_or_default();
        caller.set_audit_details(name, "", &request.actor);
        from_wire::actor(&request.actor)?;
        let queue = from_wire::queue(request.queue)?;
        caller.check_queue(&queue.name)?;
        let (queue, existed) = self.engine.queues().create(queue).await.map_err(to_status)?;
        let queue = Some(to_wire::queue(&queue));
        Ok(Response::new(wire::CreateQueueResponse { queue, existed }))
    }

    async fn get_queue(
        &self,
        request: Request<wire::GetQueueRequest>,
    ) -> Result<Response<wire::GetQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let name = request.into_inner().name;
        caller.check_queue(&name)?;
        let queue = self.engine.queues().get(&name).await.map_err(to_status)?;
        Ok(Response::new(wire::GetQueueResponse { queue: Some(to_wire::queue(&queue)) }))
    }

    async fn list_queues(
        &self,
        request: Request<wire::ListQueuesRequest>,
    ) -> Result<Response<wire::ListQueuesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = from_wire::page_size(request.page_size, PAGE_DEFAULT)?;
        let after = Some(request.page_token.as_str()).filter(|token| !token.is_empty());
        let mut found = Vec::new();
        after.inspect(|token| check_name(&mut found, "page_token", token));
        if !found.is_empty() {
            return Err(invalid_field("page_token", "is not a next_page_token"));
        }
        // One more than requested shows whether there is a further page.
        let mut queues =
            self.engine.queues().list(caller.scopes(), after, size + 1).await.map_err(to_status)?;
        let has_more = queues.len() > size;
        queues.truncate(size);
        let last = queues.last().filter(|_| has_more);
        let next_page_token = last.map(|queue| queue.name.to_string()).unwrap_or_default();
        let queues = queues.iter().map(to_wire::queue).collect();
        Ok(Response::new(wire::ListQueuesResponse { queues, next_page_token }))
    }

    async fn update_queue(
        &self,
        request: Request<wire::UpdateQueueRequest>,
    ) -> Result<Response<wire::UpdateQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let name = request.queue.as_ref().map(|queue| queue.name.as_str()).unwrap_or_default();
        caller.set_audit_details(name, "", &request.actor);
        from_wire::actor(&request.actor)?;
        caller.check_queue(name)?;
        let mask = from_wire::queue_mask(request.update_mask)?;
        let to = from_wire::queue(request.queue)?;
        let change = |queue: &mut Queue| {
            if mask.order {
                queue.order = to.order;
            }
            if mask.priority_boost {
                queue.priority_boost_ms = to.priority_boost_ms;
            }
            if mask.description {
                queue.description = to.description.clone();
            }
            if mask.index_paths {
                queue.index_paths.clone_from(&to.index_paths);
            }
        };
        let queue = self.engine.queues().update(&to.name, change).await.map_err(to_status)?;
        Ok(Response::new(wire::UpdateQueueResponse { queue: Some(to_wire::queue(&queue)) }))
    }

    async fn pause_queue(
        &self,
        request: Request<wire::PauseQueueRequest>,
    ) -> Result<Response<wire::PauseQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let wire::PauseQueueRequest { name, actor } = request.into_inner();
        let queue = self.set_mode(&caller, (&name, &actor), QueueMode::Paused).await?;
        Ok(Response::new(wire::PauseQueueResponse { queue }))
    }

    async fn drain_queue(
        &self,
        request: Request<wire::DrainQueueRequest>,
    ) -> Result<Response<wire::DrainQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let wire::DrainQueueRequest { name, actor } = request.into_inner();
        let queue = self.set_mode(&caller, (&name, &actor), QueueMode::Draining).await?;
        Ok(Response::new(wire::DrainQueueResponse { queue }))
    }

    async fn resume_queue(
        &self,
        request: Request<wire::ResumeQueueRequest>,
    ) -> Result<Response<wire::ResumeQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let wire::ResumeQueueRequest { name, actor } = request.into_inner();
        let queue = self.set_mode(&caller, (&name, &actor), QueueMode::Open).await?;
        Ok(Response::new(wire::ResumeQueueResponse { queue }))
    }
}
