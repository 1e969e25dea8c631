//! The frames to send next. A frame is created only when the connection accepts one, so that unsent
//! data stays in the state, where it can be merged.

use std::time::Instant;

use super::super::output::OutputError;
use super::SessionState;
use crate::proto::workers::v1::{
    CancelAck, Checkpoint, Drain, LogBatch, Output, Ping, ProgressItem, ProgressReport, Received,
    Report, ReportItem, SessionRequest, report_item, session_request::Frame,
};

const MAX_ITEMS: usize = 1000;
/// The approximate size limit of a report frame: a result can have 1 MiB, and messages are limited.
const MAX_REPORT_BYTES: usize = 4 * 1024 * 1024;

impl SessionState {
    /// The most urgent frame, if any: heartbeats and cancel acknowledgements first, then reports,
    /// then credit, then progress, checkpoints, output and logs. A handler that logs a lot never
    /// delays a report.
    pub(crate) fn next_frame(&mut self, now: Instant) -> Option<SessionRequest> {
        if !self.stream.is_open {
            return None;
        }
        let frame = self
            .drain_frame()
            .or_else(|| self.ping_frame(now))
            .or_else(|| self.cancel_ack_frame())
            .or_else(|| self.received_frame())
            .or_else(|| self.final_data_frame())
            .or_else(|| self.report_frame(now))
            .or_else(|| self.credit_frame(now))
            .or_else(|| self.progress_frame(now))
            .or_else(|| self.data_frame());
        frame.map(|frame| SessionRequest { frame: Some(frame) })
    }

    fn drain_frame(&mut self) -> Option<Frame> {
        let is_due = self.drain.has_started() && !self.stream.drain_sent;
        self.stream.drain_sent |= is_due;
        is_due.then_some(Frame::Drain(Drain {}))
    }

    fn ping_frame(&mut self, now: Instant) -> Option<Frame> {
        if now < self.stream.next_ping {
            return None;
        }
        self.stream.next_ping = now + self.ping_interval;
        self.ping_nonce += 1;
        Some(Frame::Ping(Ping { nonce: self.ping_nonce }))
    }

    fn cancel_ack_frame(&mut self) -> Option<Frame> {
        let count = self.stream.cancel_acks.len().min(MAX_ITEMS);
        let leases: Vec<_> = self.stream.cancel_acks.drain(..count).collect();
        (!leases.is_empty()).then_some(Frame::CancelAck(CancelAck { leases }))
    }

    fn received_frame(&mut self) -> Option<Frame> {
        let assign_seq = self.stream.last_assign_seq;
        std::mem::take(&mut self.stream.received_due)
            .then_some(Frame::Received(Received { assign_seq }))
    }

    /// The log lines and progress of finished attempts, which precede their reports.
    fn final_data_frame(&mut self) -> Option<Frame> {
        while let Some(local_id) = self.stream.final_data.front() {
            let Some(held) = self.held.get(local_id) else {
                self.stream.final_data.pop_front();
                continue;
            };
            let lease = Some(held.attempt.lease.clone());
            let lines = held.attempt.take_log_lines(true);
            if !lines.is_empty() {
                return Some(Frame::Log(LogBatch { lease, lines }));
            }
            self.stream.final_data.pop_front();
            if let Some(progress) = held.attempt.take_progress() {
                let items = vec![ProgressItem { lease, progress: Some(progress) }];
                return Some(Frame::Progress(ProgressReport { items }));
            }
        }
        None
    }

    /// Whether a batch of `count` items may be sent. Small batches wait for the flush interval, so
    /// that a fast handler does not need a frame per job. After an idle period the first one is
    /// sent at once.
    pub(super) fn may_flush(&self, now: Instant, count: usize) -> bool {
        let full_batch = (self.capacity.slots as usize / 8).clamp(1, 256);
        count >= full_batch || now >= self.stream.last_flush + self.timings.flush_interval
    }

    fn report_frame(&mut self, now: Instant) -> Option<Frame> {
        if self.stream.reports.is_empty() || !self.may_flush(now, self.stream.reports.len()) {
            return None;
        }
        let mut items = Vec::with_capacity(self.stream.reports.len().min(MAX_ITEMS));
        let mut bytes = 0;
        while items.len() < MAX_ITEMS && bytes < MAX_REPORT_BYTES {
            let Some(local_id) = self.stream.reports.pop_front() else { break };
            let report = self.held.get(&local_id).and_then(|held| held.report.as_ref());
            if let Some(report) = report {
                bytes += outcome_bytes(report);
                items.push(report.clone());
            }
        }
        self.stream.last_flush = now;
        if self.stream.unacked_reports == 0 {
            self.stream.last_report_ack = now;
        }
        self.stream.unacked_reports += u32::try_from(items.len()).unwrap_or(u32::MAX);
        (!items.is_empty()).then_some(Frame::Report(Report { items }))
    }

    fn progress_frame(&mut self, now: Instant) -> Option<Frame> {
        if self.stream.progress.is_empty()
            || now < self.stream.last_progress + self.timings.progress_interval
        {
            return None;
        }
        let mut items = Vec::new();
        while items.len() < MAX_ITEMS {
            let Some(local_id) = self.stream.progress.pop() else { break };
            let Some(held) = self.held.get_mut(&local_id) else { continue };
            held.is_progress_queued = false;
            if let Some(progress) = held.attempt.take_progress() {
                let lease = Some(held.attempt.lease.clone());
                items.push(ProgressItem { lease, progress: Some(progress) });
            }
        }
        // The interval starts when the queue is empty, so one round may need several frames.
        if self.stream.progress.is_empty() {
            self.stream.last_progress = now;
        }
        (!items.is_empty()).then_some(Frame::Progress(ProgressReport { items }))
    }

    /// A checkpoint, an output chunk or a batch of log lines. Attempts are served round robin.
    fn data_frame(&mut self) -> Option<Frame> {
        while let Some(local_id) = self.stream.data.pop_front() {
            let Some(held) = self.held.get_mut(&local_id) else { continue };
            let lease = Some(held.attempt.lease.clone());
            if let Some((seq, data)) = held.attempt.take_checkpoint() {
                self.stream.data.push_front(local_id);
                return Some(Frame::Checkpoint(Checkpoint { lease, data, seq }));
            }
            if !self.stream.supports_output {
                held.attempt.fail_output(OutputError::Unsupported);
            } else if let Some((offset, data)) = held.attempt.take_output() {
                self.stream.data.push_back(local_id);
                return Some(Frame::Output(Output { lease, offset, data }));
            }
            let lines = held.attempt.take_log_lines(false);
            if lines.is_empty() {
                held.is_data_queued = false;
                continue;
            }
            self.stream.data.push_back(local_id);
            return Some(Frame::Log(LogBatch { lease, lines }));
        }
        None
    }
}

fn outcome_bytes(report: &ReportItem) -> usize {
    match &report.outcome {
        Some(report_item::Outcome::Succeeded(succeeded)) => succeeded.result.len(),
        Some(report_item::Outcome::Failed(failed)) => {
            failed.error.as_ref().map_or(0, |error| error.message.len())
        }
        _ => 0,
    }
}
