//! The verbs of JobService, apart from Watch.

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
use crate::{Client, Error, NewJob};

/// What an enqueue answered.
#[derive(Clone, Debug)]
pub struct EnqueueResult {
    /// The new job, or the holder of its unique key. Without payload.
    pub job: Job,
    /// The job existed before.
    pub deduplicated: bool,
}

/// How a batch is enqueued.
#[derive(Clone, Debug, Default)]
pub struct BatchOptions {
    /// All or none.
    pub atomic: bool,
    /// As [`NewJob::request_id`], for the whole batch. Empty: made by the client.
    pub request_id: String,
    /// Who asks. Empty: the client's actor.
    pub actor: String,
}

/// What a cancel did.
#[derive(Clone, Debug)]
pub struct CancelResult {
    /// What it did.
    pub outcome: CancelOutcome,
    /// After the cancel, without payload.
    pub job: Job,
}

/// Output as it comes.
pub type OutputStream = Pin<Box<dyn Stream<Item = Result<ReadOutputResponse, Error>> + Send>>;

/// Log lines as they come.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogLine, Error>> + Send>>;

impl Client {
    /// Stores one job. It is durable when this returns. Takes a [`NewJob`] or a bare [`JobSpec`].
    pub async fn enqueue(&self, job: impl Into<NewJob>) -> Result<EnqueueResult, Error> {
        let NewJob { spec, request_id, actor } = job.into();
        let traceparent = metadata_value(&spec.traceparent);
        let request = EnqueueRequest {
            spec: Some(spec),
            request_id: request_id_or_new(request_id),
            actor: self.actor_or(actor),
        };
        let response = self
            .repeat(request, |mut request: Request<_>| {
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

    /// Stores 1..1000 jobs of 4 MiB in all in one commit. One result per item, in order.
    pub async fn enqueue_batch(
        &self,
        specs: Vec<JobSpec>,
        options: BatchOptions,
    ) -> Result<Vec<Result<EnqueuedJob, ItemError>>, Error> {
        let asked = specs.len();
        let request = EnqueueBatchRequest {
            specs,
            atomic: options.atomic,
            request_id: request_id_or_new(options.request_id),
            actor: self.actor_or(options.actor),
        };
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.enqueue_batch(request).await }
            })
            .await?;
        if response.results.len() != asked {
            return Err(Error::Protocol { message: "EnqueueBatchResponse of another length" });
        }
        let results = response.results.into_iter().map(|result| match result.outcome {
            Some(enqueue_batch_result::Outcome::Job(job)) => Ok(Ok(job)),
            Some(enqueue_batch_result::Outcome::Error(error)) => Ok(Err(error)),
            None => Err(Error::Protocol { message: "EnqueueBatchResult without outcome" }),
        });
        results.collect()
    }

    /// One job with payload and result.
    pub async fn get(&self, id: impl Into<String>) -> Result<Job, Error> {
        self.get_view(id, JobView::Full).await
    }

    /// One job.
    pub async fn get_view(&self, id: impl Into<String>, view: JobView) -> Result<Job, Error> {
        let request = GetRequest { id: id.into(), view: view.into() };
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.get(request).await }
            })
            .await?;
        response.job.ok_or(Error::Protocol { message: "GetResponse without job" })
    }

    /// Many jobs in the order of the ids, none where the server does not know one. Asks as
    /// often as it takes; 1..1000 ids a call.
    pub async fn batch_get(
        &self,
        ids: Vec<String>,
        view: JobView,
    ) -> Result<Vec<Option<Job>>, Error> {
        const STEP: usize = 1_000;
        let mut found = Vec::with_capacity(ids.len());
        while found.len() < ids.len() {
            let step = ids[found.len()..].iter().take(STEP).cloned().collect::<Vec<_>>();
            let asked = step.len();
            let response = self
                .repeat(BatchGetRequest { ids: step, view: view.into() }, |request| {
                    let mut raw = self.raw_jobs();
                    async move { raw.batch_get(request).await }
                })
                .await?;
            if response.results.is_empty() || response.results.len() > asked {
                return Err(Error::Protocol { message: "BatchGetResponse of another length" });
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

    /// One page of the attempts of a job, newest first.
    pub async fn list_attempts_page(
        &self,
        request: ListAttemptsRequest,
    ) -> Result<ListAttemptsResponse, Error> {
        self.repeat(request, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.list_attempts(request).await }
        })
        .await
    }

    /// One page of jobs, newest first.
    pub async fn list_page(&self, request: ListRequest) -> Result<ListResponse, Error> {
        self.repeat(request, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.list(request).await }
        })
        .await
    }

    /// All jobs that match, newest first, page by page (1..1000 jobs each) as they are read.
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

    /// How many jobs are in each state. Empty: of all queues. At most 100 queues.
    pub async fn counts(&self, queues: Vec<String>) -> Result<CountsResponse, Error> {
        self.repeat(CountsRequest { queues }, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.counts(request).await }
        })
        .await
    }

    /// Ends a waiting job at once; asks the handler of a running one to stop.
    pub async fn cancel(
        &self,
        id: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<CancelResult, Error> {
        let request = CancelRequest {
            id: id.into(),
            reason: reason.into(),
            request_id: String::new(),
            actor: self.actor.clone(),
        };
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.cancel(request).await }
            })
            .await?;
        let outcome = response.outcome();
        let job = response.job.ok_or(Error::Protocol { message: "CancelResponse without job" })?;
        Ok(CancelResult { outcome, job })
    }

    /// Runs a final job once more: same id, run + 1, a new budget of attempts.
    pub async fn retry(&self, id: impl Into<String>) -> Result<Job, Error> {
        let request = RetryRequest {
            id: id.into(),
            request_id: request_id_or_new(String::new()),
            actor: self.actor.clone(),
        };
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.retry(request).await }
            })
            .await?;
        response.job.ok_or(Error::Protocol { message: "RetryResponse without job" })
    }

    /// Makes a SCHEDULED job ready to start now.
    pub async fn run_now(&self, id: impl Into<String>) -> Result<Job, Error> {
        let request = RunNowRequest {
            id: id.into(),
            request_id: request_id_or_new(String::new()),
            actor: self.actor.clone(),
        };
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.run_now(request).await }
            })
            .await?;
        response.job.ok_or(Error::Protocol { message: "RunNowResponse without job" })
    }

    /// Changes a job before its first start: the fields of `spec` that `update_mask` names.
    pub async fn update(&self, mut request: UpdateRequest) -> Result<Job, Error> {
        request.request_id = request_id_or_new(request.request_id);
        request.actor = self.actor_or(request.actor);
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_jobs();
                async move { raw.update(request).await }
            })
            .await?;
        response.job.ok_or(Error::Protocol { message: "UpdateResponse without job" })
    }

    /// Removes a job that does not run, with all that belongs to it.
    pub async fn delete(&self, id: impl Into<String>) -> Result<(), Error> {
        let request = DeleteRequest {
            id: id.into(),
            request_id: request_id_or_new(String::new()),
            actor: self.actor.clone(),
        };
        self.repeat(request, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.delete(request).await }
        })
        .await?;
        Ok(())
    }

    /// One step through the jobs of a filter; `next_page_token` of the answer says whether and
    /// where to go on. Safe to repeat.
    pub async fn bulk(&self, mut request: BulkRequest) -> Result<BulkResponse, Error> {
        request.actor = self.actor_or(request.actor);
        self.repeat(request, |request| {
            let mut raw = self.raw_jobs();
            async move { raw.bulk(request).await }
        })
        .await
    }

    /// What the handlers of a job logged, oldest first. `attempt` 0: of all. With `follow` it
    /// stays open until the job is final. It ends with the connection: [`Client::watch`] resumes.
    pub async fn read_logs(
        &self,
        id: impl Into<String>,
        attempt: u32,
        follow: bool,
    ) -> Result<LogStream, Error> {
        let request = ReadLogsRequest { id: id.into(), attempt, follow };
        let frames = self
            .repeat(request, |mut request: Request<ReadLogsRequest>| {
                // A followed log outlives the deadline of a unary call.
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

    /// The bytes that an attempt handed out, in pieces of at most 64 KiB. `run` and `attempt` 0
    /// in the request: the newest. With `follow` it stays open until the attempt has ended. It
    /// ends with the connection; `offset` goes on where it ended.
    pub async fn read_output(&self, request: ReadOutputRequest) -> Result<OutputStream, Error> {
        let frames = self
            .repeat(request, |mut request: Request<ReadOutputRequest>| {
                // As a followed log.
                request.metadata_mut().remove("grpc-timeout");
                let mut raw = self.raw_jobs();
                async move { raw.read_output(request).await }
            })
            .await?;
        Ok(Box::pin(frames.map_err(Error::from)))
    }
}

/// A traceparent that can not be metadata still travels in the specification, where the server
/// refuses it by name.
fn metadata_value(text: &str) -> Option<tonic::metadata::MetadataValue<tonic::metadata::Ascii>> {
    (!text.is_empty()).then(|| text.parse().ok()).flatten()
}
