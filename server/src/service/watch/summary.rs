//! Queue summaries in the response stream of Watch.

use futures_util::{Stream, stream};
use sentinel_domain::limits::SUMMARY_QUEUES;
use sentinel_engine::{
    Engine, Percentiles, QueueActivity, QueueSummary, Summary, SummarySelection,
};
use sentinel_proto::jobs::v1 as wire;
use sentinel_proto::jobs::v1::watch_response::Event;
use tonic::Status;

use crate::identity::Caller;
use crate::service::status::{invalid_field, to_status};
use crate::service::to_wire;

/// Opens the stream of summaries. `is_alone` says that the watch has no selector for jobs.
pub(super) fn open(
    engine: &Engine,
    caller: &Caller,
    selection: wire::SummarySelection,
    is_alone: bool,
) -> Result<impl Stream<Item = Result<wire::WatchResponse, Status>> + Send + use<>, Status> {
    let count = selection.queues.len();
    if count as u64 > SUMMARY_QUEUES {
        let text = format!("{count} queues is too many: at most {SUMMARY_QUEUES}");
        return Err(invalid_field("summary.queues", text));
    }
    for queue in &selection.queues {
        caller.check_queue(queue)?;
    }
    let queues = selection.queues.into_iter().map(Into::into).collect();
    let selection = SummarySelection { queues, within: caller.scopes().clone() };
    let summaries = engine.summaries().open(selection, is_alone).map_err(to_status)?;
    Ok(stream::try_unfold(summaries, move |mut summaries| async move {
        loop {
            let event = match summaries.next().await.map_err(to_status)? {
                Some(summary) => Event::Summary(to_summary(&summary)),
                // The stream of jobs sends its own keepalives, with a cursor.
                None if !is_alone => continue,
                None => Event::Keepalive(wire::WatchKeepalive {}),
            };
            let frame = wire::WatchResponse { event: Some(event), cursor: String::new() };
            return Ok(Some((frame, summaries)));
        }
    }))
}

fn to_summary(summary: &Summary) -> wire::WatchSummary {
    wire::WatchSummary {
        queues: summary.queues.iter().map(|queue| to_queue(queue)).collect(),
        as_of: Some(to_wire::timestamp(summary.as_of)),
        window: Some(to_wire::duration(summary.window_ms)),
        workers: summary.workers.map(|count| count.try_into().unwrap_or(u32::MAX)),
    }
}

fn to_queue(summary: &QueueSummary) -> wire::QueueSummary {
    let QueueSummary { queue, states, oldest_ready_ms, activity } = summary;
    let QueueActivity { wait, run, .. } = activity;
    wire::QueueSummary {
        queue: queue.to_string(),
        states: states.iter().map(to_wire::state_count).collect(),
        enqueued_per_second: activity.enqueued_per_second,
        started_per_second: activity.started_per_second,
        succeeded_per_second: activity.succeeded_per_second,
        failed_per_second: activity.failed_per_second,
        oldest_ready_age: oldest_ready_ms.map(to_wire::duration),
        wait: wait.map(to_percentiles),
        run: run.map(to_percentiles),
    }
}

fn to_percentiles(percentiles: Percentiles) -> wire::Percentiles {
    let Percentiles { p50_ms, p95_ms, p99_ms, samples } = percentiles;
    let [p50, p95, p99] = [p50_ms, p95_ms, p99_ms].map(|ms| Some(to_wire::duration(ms)));
    wire::Percentiles { p50, p95, p99, samples }
}
