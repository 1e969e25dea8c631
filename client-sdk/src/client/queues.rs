//! The methods of QueueService.

use crate::proto::admin::v1::{
    CreateQueueRequest, CreateQueueResponse, DrainQueueRequest, GetQueueRequest, ListQueuesRequest,
    PauseQueueRequest, Queue, ResumeQueueRequest, UpdateQueueRequest,
};
use crate::{Client, Error};

const PAGE_SIZE: i32 = 1000;
/// Ends the loop when a faulty server returns a next page token forever.
const MAX_PAGES: u32 = 1000;

impl Client {
    /// Creates a queue. Idempotent: when the queue exists with the same settings, the response says
    /// `existed`.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` when the queue exists with other settings.
    pub async fn create_queue(&self, queue: Queue) -> Result<CreateQueueResponse, Error> {
        let request = CreateQueueRequest { queue: Some(queue), actor: self.actor.clone() };
        self.call_with_retry(request, |request| {
            let mut raw = self.raw_queues();
            async move { raw.create_queue(request).await }
        })
        .await
    }

    /// Gets one queue.
    pub async fn get_queue(&self, name: impl Into<String>) -> Result<Queue, Error> {
        let request = GetQueueRequest { name: name.into() };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_queues();
                async move { raw.get_queue(request).await }
            })
            .await?;
        response.queue.ok_or(Error::Protocol { message: "GetQueueResponse without queue" })
    }

    /// Changes the settings named in `fields`: `order`, `priority_boost`, `description`,
    /// `index_paths`. An empty list changes all of them.
    pub async fn update_queue(&self, queue: Queue, fields: &[&str]) -> Result<Queue, Error> {
        let paths = fields.iter().map(ToString::to_string).collect();
        let update_mask = Some(prost_types::FieldMask { paths });
        let actor = self.actor.clone();
        let request = UpdateQueueRequest { queue: Some(queue), update_mask, actor };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_queues();
                async move { raw.update_queue(request).await }
            })
            .await?;
        response.queue.ok_or(Error::Protocol { message: "UpdateQueueResponse without queue" })
    }

    /// Pauses a queue: its jobs do not start until it is resumed. Idempotent.
    pub async fn pause_queue(&self, name: impl Into<String>) -> Result<Queue, Error> {
        let request = PauseQueueRequest { name: name.into(), actor: self.actor.clone() };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_queues();
                async move { raw.pause_queue(request).await }
            })
            .await?;
        response.queue.ok_or(Error::Protocol { message: "PauseQueueResponse without queue" })
    }

    /// Drains a queue: it accepts no new jobs until it is resumed. Idempotent.
    pub async fn drain_queue(&self, name: impl Into<String>) -> Result<Queue, Error> {
        let request = DrainQueueRequest { name: name.into(), actor: self.actor.clone() };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_queues();
                async move { raw.drain_queue(request).await }
            })
            .await?;
        response.queue.ok_or(Error::Protocol { message: "DrainQueueResponse without queue" })
    }

    /// Resumes a paused or draining queue. Idempotent.
    pub async fn resume_queue(&self, name: impl Into<String>) -> Result<Queue, Error> {
        let request = ResumeQueueRequest { name: name.into(), actor: self.actor.clone() };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_queues();
                async move { raw.resume_queue(request).await }
            })
            .await?;
        response.queue.ok_or(Error::Protocol { message: "ResumeQueueResponse without queue" })
    }

    /// Lists all queues by name, at most 1,000,000.
    pub async fn list_queues(&self) -> Result<Vec<Queue>, Error> {
        let mut queues = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = ListQueuesRequest { page_size: PAGE_SIZE, page_token };
            let page = self
                .call_with_retry(request, |request| {
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
