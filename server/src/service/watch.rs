//! Watch frames: large snapshots in parts, a cursor where a resume is possible.

use std::collections::VecDeque;

use futures_util::Stream;
use futures_util::stream;
use sentinel_domain::Job;
use sentinel_engine::{Cursor, Engine, GapReason, Selector, Snapshot, Watch, WatchEvent};
use sentinel_proto::jobs::v1 as wire;
use sentinel_proto::jobs::v1::watch_request::Selector as WireSelector;
use sentinel_proto::jobs::v1::watch_response::Event;
use tonic::Status;

use super::from_wire;
use super::status::{answer, invalid_field};
use super::to_wire::{self, Parts};

/// Jobs of one part of a snapshot.
const PART: usize = 100;

struct Frames {
    watch: Watch,
    parts: Parts,
    is_by_ids: bool,
    ready: VecDeque<wire::WatchResponse>,
}

/// Opens a watch; errors before the first frame are the answer of the call.
pub(super) async fn open(
    engine: &Engine,
    request: wire::WatchRequest,
) -> Result<impl Stream<Item = Result<wire::WatchResponse, Status>> + Send + use<>, Status> {
    let selector = match request.selector {
        None => return Err(invalid_field("selector", "is not set: jobs or filter")),
        Some(WireSelector::Jobs(jobs)) => Selector::Jobs(
            jobs.ids
                .iter()
                .map(|id| from_wire::job_id("jobs.ids", id))
                .collect::<Result<_, _>>()?,
        ),
        Some(WireSelector::Filter(filter)) => Selector::Filter(from_wire::filter(Some(filter))?),
    };
    let cursor = match request.cursor.as_str() {
        "" => None,
        cursor => Some(cursor.parse::<Cursor>().map_err(answer)?),
    };
    let is_by_ids = matches!(selector, Selector::Jobs(_));
    let watch = engine.watch(selector, cursor, request.include_logs).await.map_err(answer)?;
    let parts = Parts::of(request.view, Parts::Basic);
    let frames = Frames { watch, parts, is_by_ids, ready: VecDeque::new() };
    Ok(stream::try_unfold(frames, |mut frames| async move {
        loop {
            if let Some(frame) = frames.ready.pop_front() {
                return Ok(Some((frame, frames)));
            }
            match frames.watch.next().await.map_err(answer)? {
                None => return Ok(None),
                Some(event) => frames.push(event),
            }
        }
    }))
}

impl Frames {
    fn job(&self, job: &Job) -> wire::Job {
        let parts = match self.parts {
            Parts::Basic if self.is_by_ids && job.status.state.is_final() => Parts::Result,
            parts => parts,
        };
        to_wire::job(job, parts)
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
                for lines in to_wire::in_parts(lines, rows.len()) {
                    let event = Some(Event::Log(wire::JobLog { id: id.to_string(), lines }));
                    self.ready.push_back(wire::WatchResponse { event, cursor: String::new() });
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
        self.ready.push_back(wire::WatchResponse { event: Some(event), cursor });
    }

    fn push_snapshot(&mut self, snapshot: Snapshot, cursor: Cursor) {
        let Snapshot { jobs, is_truncated, unknown, counts } = snapshot;
        let jobs = jobs.iter().map(|job| self.job(job));
        let mut parts: Vec<_> = to_wire::in_parts(jobs, PART)
            .into_iter()
            .map(|jobs| wire::WatchSnapshot {
                jobs,
                continues: true,
                ..wire::WatchSnapshot::default()
            })
            .collect();
        if parts.is_empty() {
            parts.push(wire::WatchSnapshot::default());
        }
        let last = parts.len() - 1;
        parts[last].continues = false;
        parts[last].truncated = is_truncated;
        parts[last].unknown_ids = unknown.iter().map(ToString::to_string).collect();
        parts[last].counts = to_wire::counts(counts);
        for (at, part) in parts.into_iter().enumerate() {
            let cursor = if at == last { cursor.to_string() } else { String::new() };
            let event = Some(Event::Snapshot(part));
            self.ready.push_back(wire::WatchResponse { event, cursor });
        }
    }
}
