//! The methods of WorkerRegistryService.

use crate::proto::admin::v1::{DrainWorkerRequest, ListWorkersRequest, Worker};
use crate::{Client, Error};

const PAGE_SIZE: i32 = 1000;
/// Ends the loop when a faulty server returns a next page token forever.
const MAX_PAGES: u32 = 1000;

impl Client {
    /// Lists the live workers of all servers, at most 1,000,000.
    pub async fn list_workers(&self) -> Result<Vec<Worker>, Error> {
        let mut workers = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = ListWorkersRequest { page_size: PAGE_SIZE, page_token };
            let page = self
                .call_with_retry(request, |request| {
                    let mut raw = self.raw_workers();
                    async move { raw.list_workers(request).await }
                })
                .await?;
            workers.extend(page.workers);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(workers)
    }

    /// Drains a worker: it gets no more jobs and finishes those it runs. Idempotent.
    ///
    /// # Errors
    /// `NOT_FOUND` when no live worker has this id.
    pub async fn drain_worker(&self, id: impl Into<String>) -> Result<Worker, Error> {
        let request = DrainWorkerRequest { id: id.into(), actor: self.actor.clone() };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_workers();
                async move { raw.drain_worker(request).await }
            })
            .await?;
        response.worker.ok_or(Error::Protocol { message: "DrainWorkerResponse without worker" })
    }
}
