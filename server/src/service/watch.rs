//! The response stream of Watch. Large snapshots are split into several frames; a frame has a
//! cursor if the watch can be resumed after it.

mod summary;

use std::collections::VecDeque;
use std::future::ready;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use sentinel_domain::limits::WATCH_JOBS;
use sentinel_domain::{Job, JobId};
use sentinel_engine::{
    Cursor, Engine, EngineError, GapReason, Selector, Snapshot, Watch, WatchEvent,
};
use sentinel_proto::jobs::v1 as wire;
use sentinel_proto::jobs::v1::watch_request::Selector as WireSelector;
use sentinel_proto::jobs::v1::watch_response::Event;
use tonic::Status;

use super::from_wire;
use super::status::{invalid_field, to_status};
use super::to_wire::{self, JobDetail};
use crate::identity::{Caller, SplitIds};

/// Maximum number of jobs in a frame of a snapshot.
const SNAPSHOT_CHUNK_JOBS: usize = 100;

struct Frames {
    watch: Watch,
    detail: JobDetail,
    is_by_ids: bool,
    /// Ids that are reported as unknown, because the caller may not access the jobs.
    hidden: Vec<JobId>,
    queue: VecDeque<wire::WatchResponse>,
}

type ResponseStream = BoxStream<'static, Result<wire::WatchResponse, Status>>;

/// Opens a watch. An error before the first frame is returned as the status of the call.
pub(super) async fn open(
    engine: &Engine,
    caller: &Caller,
    mut request: wire::WatchRequest,
) -> Result<ResponseStream, Status> {
    let Some(selection) = request.summary.take() else {
        return Ok(jobs(engine, caller, request).await?.boxed());
    };
    let is_alone = request.selector.is_none();
    if is_alone && !request.cursor.is_empty() {
        return Err(invalid_field("cursor", "needs the selector that it was created with"));
    }
    let summaries = summary::open(engine, caller, selection, is_alone)?;
    if is_alone {
        return Ok(summaries.boxed());
    }
    // `select` polls both streams and never drops a pending item of one of them.
    let jobs = jobs(engine, caller, request).await?.map(Some).chain(stream::iter([None]));
    let both = stream::select(jobs, summaries.map(Some));
    // Both end when the stream of jobs ends.
    Ok(both.take_while(|frame| ready(frame.is_some())).filter_map(ready).boxed())
}

async fn jobs(
    engine: &Engine,
    caller: &Caller,
    request: wire::WatchRequest,
) -> Result<impl Stream<Item = Result<wire::WatchResponse, Status>> + Send + use<>, Status> {
    let mut hidden = Vec::new();
    let selector = match request.selector {
        None => {
            return Err(invalid_field(
                "selector",
                "is required: jobs or filter, unless a summary is requested",
            ));
        }
        Some(WireSelector::Jobs(jobs)) => Selector::Jobs(
            jobs.ids
                .iter()
                .map(|id| from_wire::job_id("jobs.ids", id))
                .collect::<Result<_, _>>()?,
        ),
        Some(WireSelector::Filter(filter)) => {
            Selector::Filter(from_wire::filter_of(Some(filter), caller)?)
        }
    };
    let cursor = match request.cursor.as_str() {
        "" => None,
        cursor => Some(cursor.parse::<Cursor>().map_err(to_status)?),
    };
    let selector = match selector {
        // The engine refuses other numbers of ids; the split reads each job.
        Selector::Jobs(ids) if (1..=WATCH_JOBS as usize).contains(&ids.len()) => {
            let SplitIds { allowed, others } = caller.split_ids(engine, ids).await?;
            if let (None, Some(id)) = (allowed.first(), others.first()) {
                return Err(to_status(EngineError::JobNotFound(*id)));
            }
            hidden = others;
            Selector::Jobs(allowed)
        }
        selector => selector,
    };
    let is_by_ids = matches!(selector, Selector::Jobs(_));
    let watch =
        engine.watches().open(selector, cursor, request.include_logs).await.map_err(to_status)?;
    let detail = JobDetail::of(request.view, JobDetail::Basic);
    let frames = Frames { watch, detail, is_by_ids, hidden, queue: VecDeque::new() };
    Ok(stream::try_unfold(frames, |mut frames| async move {
        loop {
            if let Some(frame) = frames.queue.pop_front() {
                return Ok(Some((frame, frames)));
            }
            match frames.watch.next().await.map_err(to_status)? {
                None => return Ok(None),
                Some(event) => frames.push(event),
            }
        }
    }))
}

impl Frames {
    fn job(&self, job: &Job) -> wire::Job {
        let detail = match self.detail {
            JobDetail::Basic if self.is_by_ids && job.status.state.is_terminal() => {
                JobDetail::Result
            }
            detail => detail,
        };
        to_wire::job(job, detail)
    }

    fn push(&mut self, event: WatchEvent) {
        let (event, cursor) = match event {
            WatchEvent::Snapshot(snapshot, cursor) => return self.push_snapshot(snapshot, cursor),
            WatchEvent::Change(job, cursor) => {
                let change = wire::JobChange { job: Some(self.job(&job)) };
                (Event::Change(change), cursor.to_string())
            }
            WatchEvent::Progress { id, attempt, progress } => {
                let progress = wire::JobProgress {
                    id: id.to_string(),
                    attempt,
                    progress: Some(to_wire::progress(&progress)),
                };
                (Event::Progress(progress), String::new())
            }
            WatchEvent::Logs { id, rows } => {
                let lines = rows.iter().map(to_wire::log_line);
                for lines in to_wire::in_chunks(lines, rows.len()) {
                    let event = Some(Event::Log(wire::JobLog { id: id.to_string(), lines }));
                    self.queue.push_back(wire::WatchResponse { event, cursor: String::new() });
                }
                return;
            }
            WatchEvent::Gap(reason) => {
                let reason = match reason {
                    GapReason::Trimmed => wire::GapReason::Trimmed,
                    GapReason::SlowReader => wire::GapReason::SlowReader,
                    GapReason::Epoch => wire::GapReason::Epoch,
                };
                (Event::Gap(wire::WatchGap { reason: reason.into() }), String::new())
            }
            WatchEvent::Keepalive(cursor) => {
                (Event::Keepalive(wire::WatchKeepalive {}), cursor.to_string())
            }
        };
        self.queue.push_back(wire::WatchResponse { event: Some(event), cursor });
    }

    fn push_snapshot(&mut self, snapshot: Snapshot, cursor: Cursor) {
        let Snapshot { jobs, is_truncated, unknown, counts } = snapshot;
        let jobs = jobs.iter().map(|job| self.job(job));
        let mut chunks: Vec<_> = to_wire::in_chunks(jobs, SNAPSHOT_CHUNK_JOBS)
            .into_iter()
            .map(|jobs| wire::WatchSnapshot {
                jobs,
                continues: true,
                ..wire::WatchSnapshot::default()
            })
            .collect();
        if chunks.is_empty() {
            chunks.push(wire::WatchSnapshot::default());
        }
        let last = chunks.len() - 1;
        chunks[last].continues = false;
        chunks[last].truncated = is_truncated;
        chunks[last].unknown_ids =
            unknown.iter().chain(&self.hidden).map(ToString::to_string).collect();
        chunks[last].counts = to_wire::counts(counts);
        for (at, chunk) in chunks.into_iter().enumerate() {
            let cursor = if at == last { cursor.to_string() } else { String::new() };
            let event = Some(Event::Snapshot(chunk));
            self.queue.push_back(wire::WatchResponse { event, cursor });
        }
    }
}
