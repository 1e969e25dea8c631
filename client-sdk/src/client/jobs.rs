//! The methods of JobService, except Watch.

use std::pin::Pin;

use futures_util::stream::{self, Stream, TryStreamExt};
use tonic::Request;

use super::request_id_or_new;
use crate::proto::jobs::v1::{
    BatchGetRequest, BulkRequest, BulkResponse, CancelOutcome, CancelRequest, CountsRequest,
    CountsResponse, DeleteRequest, EnqueueBatchRequest, EnqueueRequest, EnqueuedJob, GetRequest,
    ItemError, Job, JobFilter, JobSpec, JobView, ListAttemptsRequest, ListAttemptsResponse,
    ListRequest, ListResponse, LogLine, ReadLogsRequest, ReadOutputRequest, ReadOutputResponse,
    RetryRequest, RunNowRequest, UpdateRequest, batch_get_result, enqueue_batch_result,
};
use crate::{Client, Error, NewJob, id};

/// The result of an enqueue.
#[derive(Clone, Debug)]
pub struct EnqueueResult {
    /// The new job, or the job that holds the unique key. Without payload.
    pub job: Job,
    /// Whether the job existed before.
    pub deduplicated: bool,
}

/// Options of a batch enqueue.
#[derive(Clone, Debug, Default)]
pub struct BatchOptions {
    /// Whether one invalid job rejects the whole batch.
    pub atomic: bool,
    /// The idempotency key of the whole batch, as [`NewJob::request_id`]. Generated when empty.
    pub request_id: String,
    /// The actor for the audit log. When empty, the client's actor.
    pub actor: String,
}

/// The result of a cancel.
#[derive(Clone, Debug)]
pub struct CancelResult {
    /// Whether the job was cancelled, is being cancelled or was already terminal.
    pub outcome: CancelOutcome,
    /// The job after the cancel, without payload.
    pub job: Job,
}

/// A stream of output chunks.
pub type OutputStream = Pin<Box<dyn Stream<Item = Result<ReadOutputResponse, Error>> + Send>>;

/// A stream of log lines.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogLine, Error>> + Send>>;

impl Client {
    /// Enqueues one job, which is durable when this returns. Accepts a [`NewJob`] or a [`JobSpec`].
    pub async fn enqueue(&self, job: impl Into<NewJob>) -> Result<EnqueueResult, Error> {
        let NewJob { spec, request_id, actor } = job.into();
        let traceparent = metadata_value(&spec.traceparent);
        let request = EnqueueRequest {
            spec: Some(spec),
            request_id: request_id_or_new(request_id),
            actor: self.actor_or(actor),
        };
        let response = self
            .call_with_retry(request, |mut request: Request<_>| {
                if let Some(value) = &traceparent {
                    request.metadata_mut().insert("traceparent", value.clone());
                }
                let mut raw = self.raw_jobs();
                async move { raw.enqueue(request).await }
            })
            .await?;
        let job = response.job.ok_or(Error::Protocol { message: "EnqueueResponse without job" })?;
        Ok(EnqueueResult { job, deduplicated: response.deduplicated })
    }

    /// Enqueues 1..1000 jobs of at most 4 MiB in total in one transaction. Returns one result per
    /// job, in order.
    pub async fn enqueue_batch(
        &self,
        specs: Vec<JobSpec>,
        options: BatchOptions,
    ) -> Result<Vec<Result<EnqueuedJob, ItemError>>, Error> {
        let count = specs.len();
        let request = EnqueueBatchRequest {
            specs,
            atomic: options.atomic,
            request_id: request_id_or_new(options.request_id),
            actor: self.actor_or(options.actor),
        };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.enqueue_batch(request).await }
            })
            .await?;
        if response.results.len() != count {
            let message = "EnqueueBatchResponse.results has the wrong length";
            return Err(Error::Protocol { message });
        }
        let results = response.results.into_iter().map(|result| match result.outcome {
            Some(enqueue_batch_result::Outcome::Job(job)) => Ok(Ok(job)),
            Some(enqueue_batch_result::Outcome::Error(error)) => Ok(Err(error)),
            None => Err(Error::Protocol { message: "EnqueueBatchResult without outcome" }),
        });
        results.collect()
    }

    /// Gets one job with payload and result.
    pub async fn get(&self, id: impl Into<String>) -> Result<Job, Error> {
        self.get_view(id, JobView::Full).await
    }

    /// Gets one job with the fields that `view` selects.
    pub async fn get_view(&self, id: impl Into<String>, view: JobView) -> Result<Job, Error> {
        let request = GetRequest { id: id::canonical(id), view: view.into() };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.get(request).await }
            })
            .await?;
        response.job.ok_or(Error::Protocol { message: "GetResponse without job" })
    }

    /// Gets many jobs in the order of the ids, `None` for an unknown id. Splits the ids into calls
    /// of at most 1000.
    pub async fn batch_get(
        &self,
        ids: Vec<String>,
        view: JobView,
    ) -> Result<Vec<Option<Job>>, Error> {
        const MAX_IDS: usize = 1_000;
        let mut found = Vec::with_capacity(ids.len());
        while found.len() < ids.len() {
            let chunk =
                ids[found.len()..].iter().take(MAX_IDS).map(id::canonical).collect::<Vec<_>>();
            let count = chunk.len();
            let response = self
                .call_with_retry(BatchGetRequest { ids: chunk, view: view.into() }, |request| {
                    let mut raw = self.raw_jobs();
                    async move { raw.batch_get(request).await }
                })
                .await?;
            if response.results.is_empty() || response.results.len() > count {
                let message = "BatchGetResponse.results has the wrong length";
                return Err(Error::Protocol { message });
            }
            for result in response.results {
                found.push(match result.outcome {
                    Some(batch_get_result::Outcome::Job(job)) => Some(job),
                    Some(batch_get_result::Outcome::MissingId(_)) => None,
                    None => {
                        return Err(Error::Protocol { message: "BatchGetResult without outcome" });
                    }
                });
            }
        }
        Ok(found)
    }

    /// Gets one page of a job's attempts, newest first.
    pub async fn list_attempts_page(
        &self,
        request: ListAttemptsRequest,
    ) -> Result<ListAttemptsResponse, Error> {
        self.call_with_retry(request, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.list_attempts(request).await }
        })
        .await
    }

    /// Gets one page of jobs, newest first.
    pub async fn list_page(&self, request: ListRequest) -> Result<ListResponse, Error> {
        self.call_with_retry(request, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.list(request).await }
        })
        .await
    }

    /// Streams all jobs that match `filter`, newest first. Pages (1..1000 jobs each) are fetched as
    /// the stream is read.
    pub fn list_all(
        &self,
        filter: JobFilter,
        page_size: i32,
        view: JobView,
    ) -> impl Stream<Item = Result<Job, Error>> + Send + use<> {
        let first = ListRequest {
            filter: Some(filter),
            page_size,
            view: view.into(),
            ..Default::default()
        };
        let client = self.clone();
        let pages = stream::try_unfold(Some(first), move |request| {
            let client = client.clone();
            async move {
                let Some(mut request) = request else { return Ok::<_, Error>(None) };
                let page = client.list_page(request.clone()).await?;
                let next = (!page.next_page_token.is_empty()).then(|| {
                    request.page_token = page.next_page_token;
                    request
                });
                Ok(Some((stream::iter(page.jobs.into_iter().map(Ok)), next)))
            }
        });
        pages.try_flatten()
    }

    /// Counts jobs by state, per queue. At most 100 queues; an empty list counts all queues.
    pub async fn counts(&self, queues: Vec<String>) -> Result<CountsResponse, Error> {
        self.call_with_retry(CountsRequest { queues }, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.counts(request).await }
        })
        .await
    }

    /// Cancels a job: a job that does not run is cancelled at once, the handler of a running one is
    /// asked to stop.
    pub async fn cancel(
        &self,
        id: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<CancelResult, Error> {
        let request = CancelRequest {
            id: id::canonical(id),
            reason: reason.into(),
            request_id: String::new(),
            actor: self.actor.clone(),
        };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.cancel(request).await }
            })
            .await?;
        let outcome = response.outcome();
        let job = response.job.ok_or(Error::Protocol { message: "CancelResponse without job" })?;
        Ok(CancelResult { outcome, job })
    }

    /// Starts a new run of a terminal job: same id, run + 1, all attempts available again.
    pub async fn retry(&self, id: impl Into<String>) -> Result<Job, Error> {
        let request = RetryRequest {
            id: id::canonical(id),
            request_id: request_id_or_new(String::new()),
            actor: self.actor.clone(),
        };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.retry(request).await }
            })
            .await?;
        response.job.ok_or(Error::Protocol { message: "RetryResponse without job" })
    }

    /// Makes a SCHEDULED job READY now.
    pub async fn run_now(&self, id: impl Into<String>) -> Result<Job, Error> {
        let request = RunNowRequest {
            id: id::canonical(id),
            request_id: request_id_or_new(String::new()),
            actor: self.actor.clone(),
        };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.run_now(request).await }
            })
            .await?;
        response.job.ok_or(Error::Protocol { message: "RunNowResponse without job" })
    }

    /// Changes a job before its first start: the fields of `spec` named in `update_mask`.
    pub async fn update(&self, mut request: UpdateRequest) -> Result<Job, Error> {
        request.request_id = request_id_or_new(request.request_id);
        request.actor = self.actor_or(request.actor);
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.update(request).await }
            })
            .await?;
        response.job.ok_or(Error::Protocol { message: "UpdateResponse without job" })
    }

    /// Deletes a job that does not run, with its attempts, logs and output.
    pub async fn delete(&self, id: impl Into<String>) -> Result<(), Error> {
        let request = DeleteRequest {
            id: id::canonical(id),
            request_id: request_id_or_new(String::new()),
            actor: self.actor.clone(),
        };
        self.call_with_retry(request, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.delete(request).await }
        })
        .await?;
        Ok(())
    }

    /// Applies an action to one page of the jobs that match a filter. Repeat with the
    /// `next_page_token` of the response until it is empty. Idempotent.
    pub async fn bulk(&self, mut request: BulkRequest) -> Result<BulkResponse, Error> {
        request.actor = self.actor_or(request.actor);
        self.call_with_retry(request, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.bulk(request).await }
        })
        .await
    }

    /// Streams the log lines of a job's handlers, oldest first. `attempt` 0 selects all attempts.
    /// With `follow` the stream stays open until the job is terminal. It closes when the connection
    /// is lost; [`Client::watch`] reconnects.
    pub async fn read_logs(
        &self,
        id: impl Into<String>,
        attempt: u32,
        follow: bool,
    ) -> Result<LogStream, Error> {
        let request = ReadLogsRequest { id: id::canonical(id), attempt, follow };
        let frames = self
            .call_with_retry(request, |mut request: Request<ReadLogsRequest>| {
                // A followed log stays open longer than a unary call.
                request.metadata_mut().remove("grpc-timeout");
                let mut raw = self.raw_jobs();
                async move { raw.read_logs(request).await }
            })
            .await?;
        let lines = frames
            .map_ok(|frame| stream::iter(frame.lines.into_iter().map(Ok)))
            .map_err(Error::from)
            .try_flatten();
        Ok(Box::pin(lines))
    }

    /// Streams the output of an attempt in chunks of at most 64 KiB. `run` and `attempt` 0 in the
    /// request select the newest. With `follow` the stream stays open until the attempt finishes.
    /// It closes when the connection is lost; continue with `offset`.
    pub async fn read_output(&self, mut request: ReadOutputRequest) -> Result<OutputStream, Error> {
        request.id = id::canonical(request.id);
        let frames = self
            .call_with_retry(request, |mut request: Request<ReadOutputRequest>| {
                // A followed output stays open longer than a unary call.
                request.metadata_mut().remove("grpc-timeout");
                let mut raw = self.raw_jobs();
                async move { raw.read_output(request).await }
            })
            .await?;
        Ok(Box::pin(frames.map_err(Error::from)))
    }
}

/// The traceparent as metadata, if it is valid there. The server checks the one in the
/// specification and names the field when it is invalid.
fn metadata_value(text: &str) -> Option<tonic::metadata::MetadataValue<tonic::metadata::Ascii>> {
    (!text.is_empty()).then(|| text.parse().ok()).flatten()
}
