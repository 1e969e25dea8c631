//! Implements JobService.

use futures_util::Stream;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sentinel_domain::JobId;
use sentinel_domain::limits::{BULK_DEFAULT, FILTER_NAMES, PAGE_DEFAULT};
use sentinel_engine::{CancelOutcome, Engine, EngineError, OutputPage, Submitter};
use sentinel_ledger::{OutputChunk, PageRequest};
use sentinel_proto::jobs::v1 as wire;
use sentinel_proto::jobs::v1::job_service_server::JobService;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::Instrument;

use super::status::{invalid_field, shutting_down, to_status};
use super::to_wire::{self, JobDetail};
use super::{from_wire, watch};
use crate::identity::Caller;
use crate::telemetry::span::{JobSpan, batch_span, enqueue_span, record_job_id, traceparent_for};

/// Implements JobService.
#[derive(Clone)]
pub struct JobApi {
    engine: Engine,
    closing: CancellationToken,
}

impl JobApi {
    /// Creates the service. Its streams close when `closing` is cancelled.
    pub fn new(engine: Engine, closing: CancellationToken) -> Self {
        Self { engine, closing }
    }
}

type StreamResult<T> = Result<Response<BoxStream<'static, Result<T, Status>>>, Status>;

/// Ends a stream with SHUTTING_DOWN when the server shuts down, so that its client reconnects.
fn until_closing<T: Send + 'static>(
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
    closing: CancellationToken,
) -> BoxStream<'static, Result<T, Status>> {
    let open = Some((Box::pin(items), closing));
    stream::unfold(open, |open| async move {
        let (mut items, closing) = open?;
        tokio::select! {
            item = items.next() => match item? {
                Ok(item) => Some((Ok(item), Some((items, closing)))),
                Err(status) => Some((Err(status), None)),
            },
            () = closing.cancelled() => Some((Err(shutting_down()), None)),
        }
    })
    .boxed()
}

/// Returns the `traceparent` header of a request.
pub(super) fn request_traceparent<T>(request: &Request<T>) -> String {
    let header = request.metadata().get("traceparent");
    header.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[tonic::async_trait]
impl JobService for JobApi {
    async fn enqueue(
        &self,
        request: Request<wire::EnqueueRequest>,
    ) -> Result<Response<wire::EnqueueResponse>, Status> {
        let trace = request_traceparent(&request);
        let caller = Caller::of(&request)?;
        let mut request = request.into_inner();
        let request_id = std::mem::take(&mut request.request_id);
        let key = caller.namespaced(from_wire::request_key(&request_id, &request)?);
        from_wire::actor(&request.actor)?;
        let mut new = from_wire::new_job("spec", request.spec)?;
        let span = enqueue_span(JobSpan { queue: &new.queue, kind: &new.kind, job_id: "" });
        if new.traceparent.is_empty() {
            new.traceparent = traceparent_for(&span, &trace);
        }
        let actor = caller.actor(&request.actor);
        let submitter = Submitter { actor: &actor, scopes: caller.scopes() };
        let enqueued = self.engine.jobs().enqueue(new, submitter, key).instrument(span.clone());
        let enqueued = enqueued.await.map_err(to_status)?;
        record_job_id(&span, &enqueued.job.id.to_string());
        Ok(Response::new(wire::EnqueueResponse {
            job: Some(to_wire::job(&enqueued.job, JobDetail::Basic)),
            deduplicated: enqueued.deduplicated,
        }))
    }

    async fn enqueue_batch(
        &self,
        request: Request<wire::EnqueueBatchRequest>,
    ) -> Result<Response<wire::EnqueueBatchResponse>, Status> {
        let trace = request_traceparent(&request);
        let caller = Caller::of(&request)?;
        let mut request = request.into_inner();
        let request_id = std::mem::take(&mut request.request_id);
        let key = caller.namespaced(from_wire::request_key(&request_id, &request)?);
        from_wire::actor(&request.actor)?;
        let mut items = Vec::with_capacity(request.specs.len());
        for (at, spec) in request.specs.into_iter().enumerate() {
            let path = format!("specs[{at}]");
            items.push(from_wire::new_job(&path, Some(spec))?);
        }
        let span = batch_span(items.iter().map(|new| new.queue.as_str()));
        let trace = traceparent_for(&span, &trace);
        for new in items.iter_mut().filter(|new| new.traceparent.is_empty()) {
            new.traceparent.clone_from(&trace);
        }
        let actor = caller.actor(&request.actor);
        let submitter = Submitter { actor: &actor, scopes: caller.scopes() };
        let enqueued = self.engine.jobs().enqueue_batch(items, request.atomic, submitter, key);
        let results = enqueued.instrument(span).await.map_err(to_status)?;
        let results = results.into_iter().map(to_wire::batch_result).collect();
        Ok(Response::new(wire::EnqueueBatchResponse { results }))
    }

    async fn get(
        &self,
        request: Request<wire::GetRequest>,
    ) -> Result<Response<wire::GetResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = from_wire::job_id("id", &request.id)?;
        let job = caller.job(&self.engine, id).await?;
        let detail = JobDetail::of(request.view, JobDetail::Full);
        Ok(Response::new(wire::GetResponse { job: Some(to_wire::job(&job, detail)) }))
    }

    async fn batch_get(
        &self,
        request: Request<wire::BatchGetRequest>,
    ) -> Result<Response<wire::BatchGetResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let ids = from_wire::job_ids("ids", &request.ids)?;
        let detail = JobDetail::of(request.view, JobDetail::Basic);
        let found = caller.jobs(&self.engine, &ids, detail == JobDetail::Full).await?;
        let results =
            ids.iter().zip(found).map(|(id, job)| to_wire::batch_get_result(*id, job, detail));
        Ok(Response::new(wire::BatchGetResponse { results: results.collect() }))
    }

    async fn list_attempts(
        &self,
        request: Request<wire::ListAttemptsRequest>,
    ) -> Result<Response<wire::ListAttemptsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = from_wire::job_id("id", &request.id)?;
        let size = from_wire::page_size(request.page_size, PAGE_DEFAULT)?;
        caller.check_job(&self.engine, id).await?;
        let below = from_wire::page_token::<u64>(&request.page_token)?;
        let page = self.engine.history().list_attempts(id, below, size).await.map_err(to_status)?;
        Ok(Response::new(wire::ListAttemptsResponse {
            attempts: page.attempts.iter().map(to_wire::attempt).collect(),
            next_page_token: page.next.map(|epoch| epoch.to_string()).unwrap_or_default(),
            as_of: Some(to_wire::timestamp(page.as_of)),
        }))
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let filter = from_wire::filter_of(request.filter, &caller)?;
        let size = from_wire::page_size(request.page_size, PAGE_DEFAULT)?;
        let before = from_wire::page_token::<JobId>(&request.page_token)?;
        let page = self.engine.history().list(filter, before, size).await.map_err(to_status)?;
        let detail = JobDetail::of(request.view, JobDetail::Basic);
        Ok(Response::new(wire::ListResponse {
            jobs: page.jobs.iter().map(|job| to_wire::job(job, detail)).collect(),
            next_page_token: page.next.map(|id| id.to_string()).unwrap_or_default(),
            as_of: Some(to_wire::timestamp(page.as_of)),
        }))
    }

    async fn counts(
        &self,
        request: Request<wire::CountsRequest>,
    ) -> Result<Response<wire::CountsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let scopes = caller.scopes();
        let queues = request.into_inner().queues;
        let max = 5 * FILTER_NAMES as usize;
        if queues.len() > max {
            let text = format!("{} queues is too many: at most {max}", queues.len());
            return Err(invalid_field("queues", text));
        }
        for queue in &queues {
            caller.check_queue(queue)?;
        }
        let queues = queues.into_iter().map(Into::into).collect();
        let mut page = self.engine.history().counts(queues).await.map_err(to_status)?;
        page.counts.retain(|count| scopes.contains(&count.queue));
        Ok(Response::new(wire::CountsResponse {
            queues: to_wire::counts(page.counts),
            as_of: Some(to_wire::timestamp(page.as_of)),
        }))
    }

    type WatchStream = BoxStream<'static, Result<wire::WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> StreamResult<wire::WatchResponse> {
        let caller = Caller::of(&request)?;
        let events = watch::open(&self.engine, &caller, request.into_inner()).await?;
        Ok(Response::new(until_closing(events, self.closing.clone())))
    }

    async fn cancel(
        &self,
        request: Request<wire::CancelRequest>,
    ) -> Result<Response<wire::CancelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        caller.set_audit_details(&request.id, &request.request_id, &request.actor);
        let id = from_wire::job_id("id", &request.id)?;
        from_wire::actor(&request.actor)?;
        // A cancel is idempotent and needs no idempotency record; the request_id is only validated.
        from_wire::request_key(&request.request_id, &())?;
        caller.check_job(&self.engine, id).await?;
        let actor = caller.actor(&request.actor);
        let cancelled = self.engine.jobs().cancel(id, &request.reason, &actor);
        let cancelled = cancelled.await.map_err(to_status)?;
        let outcome = match cancelled.outcome {
            CancelOutcome::Cancelled => wire::CancelOutcome::Cancelled,
            CancelOutcome::Requested => wire::CancelOutcome::Requested,
            CancelOutcome::AlreadyTerminal => wire::CancelOutcome::AlreadyTerminal,
        };
        let job = Some(to_wire::job(&cancelled.job, JobDetail::Basic));
        Ok(Response::new(wire::CancelResponse { outcome: outcome.into(), job }))
    }

    async fn retry(
        &self,
        request: Request<wire::RetryRequest>,
    ) -> Result<Response<wire::RetryResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut request = request.into_inner();
        caller.set_audit_details(&request.id, &request.request_id, &request.actor);
        let request_id = std::mem::take(&mut request.request_id);
        let key = caller.namespaced(from_wire::request_key(&request_id, &request)?);
        from_wire::actor(&request.actor)?;
        let id = from_wire::job_id("id", &request.id)?;
        caller.check_job(&self.engine, id).await?;
        let job = self.engine.jobs().retry(id, key).await.map_err(to_status)?;
        Ok(Response::new(wire::RetryResponse { job: Some(to_wire::job(&job, JobDetail::Basic)) }))
    }

    async fn run_now(
        &self,
        request: Request<wire::RunNowRequest>,
    ) -> Result<Response<wire::RunNowResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut request = request.into_inner();
        caller.set_audit_details(&request.id, &request.request_id, &request.actor);
        let request_id = std::mem::take(&mut request.request_id);
        let key = caller.namespaced(from_wire::request_key_of("RunNow", &request_id, &request)?);
        from_wire::actor(&request.actor)?;
        let id = from_wire::job_id("id", &request.id)?;
        caller.check_job(&self.engine, id).await?;
        let job = self.engine.jobs().run_now(id, key).await.map_err(to_status)?;
        Ok(Response::new(wire::RunNowResponse { job: Some(to_wire::job(&job, JobDetail::Basic)) }))
    }

    async fn update(
        &self,
        request: Request<wire::UpdateRequest>,
    ) -> Result<Response<wire::UpdateResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut request = request.into_inner();
        caller.set_audit_details(&request.id, &request.request_id, &request.actor);
        let request_id = std::mem::take(&mut request.request_id);
        let key = caller.namespaced(from_wire::request_key_of("Update", &request_id, &request)?);
        from_wire::actor(&request.actor)?;
        let id = from_wire::job_id("id", &request.id)?;
        caller.check_job(&self.engine, id).await?;
        let values = from_wire::new_values(request.spec, request.update_mask)?;
        let version = (request.version != 0).then_some(request.version);
        let job = self.engine.jobs().update(id, &values, version, key).await.map_err(to_status)?;
        Ok(Response::new(wire::UpdateResponse { job: Some(to_wire::job(&job, JobDetail::Basic)) }))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteRequest>,
    ) -> Result<Response<wire::DeleteResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut request = request.into_inner();
        caller.set_audit_details(&request.id, &request.request_id, &request.actor);
        let request_id = std::mem::take(&mut request.request_id);
        let key = caller.namespaced(from_wire::request_key_of("Delete", &request_id, &request)?);
        from_wire::actor(&request.actor)?;
        let id = from_wire::job_id("id", &request.id)?;
        caller.check_job(&self.engine, id).await?;
        self.engine
            .jobs()
            .delete(id, &caller.actor(&request.actor), key)
            .await
            .map_err(to_status)?;
        Ok(Response::new(wire::DeleteResponse {}))
    }

    async fn bulk(
        &self,
        request: Request<wire::BulkRequest>,
    ) -> Result<Response<wire::BulkResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        caller.set_audit_details(&from_wire::bulk_target(&request), "", &request.actor);
        from_wire::actor(&request.actor)?;
        let action = from_wire::bulk_action(request.action, &request.reason)?;
        let filter = from_wire::filter_of(request.filter, &caller)?;
        if request.dry_run {
            let (matched, capped) =
                self.engine.jobs().bulk_preview(&action, &filter).await.map_err(to_status)?;
            return Ok(Response::new(wire::BulkResponse {
                matched,
                capped,
                ..wire::BulkResponse::default()
            }));
        }
        let size = from_wire::page_size(request.page_size, BULK_DEFAULT)?;
        let before = from_wire::page_token::<JobId>(&request.page_token)?;
        let actor = caller.actor(&request.actor);
        let step = self.engine.jobs().bulk(&action, &filter, PageRequest { size, before }, &actor);
        Ok(Response::new(to_wire::bulk_step(step.await.map_err(to_status)?)))
    }

    type ReadLogsStream = BoxStream<'static, Result<wire::ReadLogsResponse, Status>>;

    async fn read_logs(
        &self,
        request: Request<wire::ReadLogsRequest>,
    ) -> StreamResult<wire::ReadLogsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = from_wire::job_id("id", &request.id)?;
        caller.check_job(&self.engine, id).await?;
        let attempt = (request.attempt != 0).then_some(request.attempt);
        let feed = self
            .engine
            .history()
            .read_logs(id, attempt, request.follow)
            .await
            .map_err(to_status)?;
        let pages = stream::try_unfold(feed, |mut feed| async move {
            let Some(rows) = feed.next().await? else { return Ok::<_, EngineError>(None) };
            let lines = rows.iter().map(to_wire::log_line);
            let chunks = to_wire::in_chunks(lines, rows.len()).into_iter();
            let chunks = chunks.map(|lines| Ok(wire::ReadLogsResponse { lines }));
            Ok(Some((stream::iter(chunks), feed)))
        });
        let pages = pages.try_flatten().map(|page| page.map_err(to_status));
        Ok(Response::new(until_closing(pages, self.closing.clone())))
    }

    type ReadOutputStream = BoxStream<'static, Result<wire::ReadOutputResponse, Status>>;

    async fn read_output(
        &self,
        request: Request<wire::ReadOutputRequest>,
    ) -> StreamResult<wire::ReadOutputResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = from_wire::job_id("id", &request.id)?;
        caller.check_job(&self.engine, id).await?;
        let nonzero = |number: u32| (number != 0).then_some(number);
        let selected = (nonzero(request.run), nonzero(request.attempt));
        let feed = self.engine.history().read_output(id, selected, request.offset, request.follow);
        let pages = stream::try_unfold(feed.await.map_err(to_status)?, |mut feed| async move {
            let Some(page) = feed.next().await? else { return Ok::<_, EngineError>(None) };
            let OutputPage { run, attempt, pieces } = page;
            let pieces = pieces.into_iter().map(move |piece| {
                let OutputChunk { offset, data, .. } = piece;
                let data = data.into();
                Ok(wire::ReadOutputResponse { run, attempt, offset, data })
            });
            Ok(Some((stream::iter(pieces), feed)))
        });
        let pages = pages.try_flatten().map(|page| page.map_err(to_status));
        Ok(Response::new(until_closing(pages, self.closing.clone())))
    }
}
