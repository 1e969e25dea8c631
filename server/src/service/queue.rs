//! QueueService.

use sentinel_domain::check_name;
use sentinel_engine::Engine;
use sentinel_proto::admin::v1 as wire;
use sentinel_proto::admin::v1::queue_service_server::QueueService;
use tonic::{Request, Response, Status};

use super::status::{answer, invalid_field};
use super::{from_wire, to_wire};

/// Queues of a page when page_size is 0.
const PAGE_DEFAULT: u64 = 100;

/// QueueService on an engine.
#[derive(Clone)]
pub struct QueuesService {
    engine: Engine,
}

impl QueuesService {
    /// On an engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

#[tonic::async_trait]
impl QueueService for QueuesService {
    async fn create_queue(
        &self,
        request: Request<wire::CreateQueueRequest>,
    ) -> Result<Response<wire::CreateQueueResponse>, Status> {
        let request = request.into_inner();
        from_wire::actor(&request.actor)?;
        let queue = from_wire::queue(request.queue)?;
        let (queue, existed) = self.engine.create_queue(queue).await.map_err(answer)?;
        let queue = Some(to_wire::queue(&queue));
        Ok(Response::new(wire::CreateQueueResponse { queue, existed }))
    }

    async fn get_queue(
        &self,
        request: Request<wire::GetQueueRequest>,
    ) -> Result<Response<wire::GetQueueResponse>, Status> {
        let queue = self.engine.get_queue(&request.into_inner().name).await.map_err(answer)?;
        Ok(Response::new(wire::GetQueueResponse { queue: Some(to_wire::queue(&queue)) }))
    }

    async fn list_queues(
        &self,
        request: Request<wire::ListQueuesRequest>,
    ) -> Result<Response<wire::ListQueuesResponse>, Status> {
        let request = request.into_inner();
        let size = from_wire::page_size(request.page_size, PAGE_DEFAULT)?;
        let after = Some(request.page_token.as_str()).filter(|token| !token.is_empty());
        let mut found = Vec::new();
        after.inspect(|token| check_name(&mut found, "page_token", token));
        if !found.is_empty() {
            return Err(invalid_field("page_token", "is not the next_page_token of a page"));
        }
        // One more than asked for tells whether there is another page.
        let mut queues = self.engine.list_queues(after, size + 1).await.map_err(answer)?;
        let has_more = queues.len() > size;
        queues.truncate(size);
        let last = queues.last().filter(|_| has_more);
        let next_page_token = last.map(|queue| queue.name.to_string()).unwrap_or_default();
        let queues = queues.iter().map(to_wire::queue).collect();
        Ok(Response::new(wire::ListQueuesResponse { queues, next_page_token }))
    }
}
