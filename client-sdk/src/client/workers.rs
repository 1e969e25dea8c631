//! The verbs of WorkerRegistryService.

use crate::proto::admin::v1::{DrainWorkerRequest, ListWorkersRequest, Worker};
use crate::{Client, Error};

const PAGE_SIZE: i32 = 1000;
/// A server that always hands out another page token must not hold the caller for ever.
const MAX_PAGES: u32 = 1000;

impl Client {
    /// The live workers of all servers, at most a million.
    pub async fn list_workers(&self) -> Result<Vec<Worker>, Error> {
        let mut workers = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = ListWorkersRequest { page_size: PAGE_SIZE, page_token };
            let page = self
                .repeat(request, |request| {
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

    /// Gives the worker of this id no more jobs; it ends what it runs. Safe to repeat.
    ///
    /// # Errors
    /// `NOT_FOUND` when no live worker has the id.
    pub async fn drain_worker(&self, id: impl Into<String>) -> Result<Worker, Error> {
        let request = DrainWorkerRequest { id: id.into(), actor: self.actor.clone() };
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_workers();
                async move { raw.drain_worker(request).await }
            })
            .await?;
        response.worker.ok_or(Error::Protocol { message: "DrainWorkerResponse without worker" })
    }
}
