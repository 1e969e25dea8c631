//! The verbs of QueueService.

use crate::proto::admin::v1::{
    CreateQueueRequest, CreateQueueResponse, GetQueueRequest, ListQueuesRequest, Queue,
};
use crate::{Client, Error};

const PAGE_SIZE: i32 = 1000;
/// A server that always hands out another page token must not hold the caller for ever.
const MAX_PAGES: u32 = 1000;

impl Client {
    /// Declares a queue. Safe to repeat: the same settings answer `existed`.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` when the queue has other settings.
    pub async fn create_queue(&self, queue: Queue) -> Result<CreateQueueResponse, Error> {
        let request = CreateQueueRequest { queue: Some(queue), actor: self.actor.clone() };
        self.repeat(request, |request| {
            let mut raw = self.raw_queues();
            async move { raw.create_queue(request).await }
        })
        .await
    }

    /// One queue.
    pub async fn get_queue(&self, name: impl Into<String>) -> Result<Queue, Error> {
        let request = GetQueueRequest { name: name.into() };
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_queues();
                async move { raw.get_queue(request).await }
            })
            .await?;
        response.queue.ok_or(Error::Protocol { what: "GetQueueResponse without queue" })
    }

    /// All queues by name, at most a million.
    pub async fn list_queues(&self) -> Result<Vec<Queue>, Error> {
        let mut queues = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = ListQueuesRequest { page_size: PAGE_SIZE, page_token };
            let page = self
                .repeat(request, |request| {
                    let mut raw = self.raw_queues();
                    async move { raw.list_queues(request).await }
                })
                .await?;
            queues.extend(page.queues);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(queues)
    }
}
