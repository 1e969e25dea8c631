//! What is to be sent next. Frames are made when there is room to send them, so that all that
//! waits travels together and nothing queues outside of this state.

use std::time::Instant;

use super::super::output::OutputError;
use super::SessionState;
use crate::proto::workers::v1::{
    CancelAck, Checkpoint, Drain, LogBatch, Output, Ping, ProgressItem, ProgressReport, Received,
    Report, ReportItem, SessionRequest, report_item, session_request::Frame,
};

const MAX_ITEMS: usize = 1000;
/// One report frame holds about this; results can be 1 MiB each and a message has its limit.
const MAX_REPORT_BYTES: usize = 4 * 1024 * 1024;

impl SessionState {
    /// The most urgent frame, if any. Signs of life and cancels before reports, reports before
    /// room for more jobs, progress and logs last: a chatty job never delays a report.
    pub(crate) fn next_frame(&mut self, now: Instant) -> Option<SessionRequest> {
        if !self.link.is_up {
            return None;
        }
        let frame = self
            .drain_frame()
            .or_else(|| self.ping_frame(now))
            .or_else(|| self.cancel_ack_frame())
            .or_else(|| self.received_frame())
            .or_else(|| self.last_words_frame())
            .or_else(|| self.report_frame(now))
            .or_else(|| self.credit_frame(now))
            .or_else(|| self.progress_frame(now))
            .or_else(|| self.side_frame());
        frame.map(|frame| SessionRequest { frame: Some(frame) })
    }

    fn drain_frame(&mut self) -> Option<Frame> {
        let due = self.drain.has_begun() && !self.link.drain_sent;
        self.link.drain_sent |= due;
        due.then_some(Frame::Drain(Drain {}))
    }

    fn ping_frame(&mut self, now: Instant) -> Option<Frame> {
        if now < self.link.next_ping {
            return None;
        }
        self.link.next_ping = now + self.ping_interval;
        self.ping_nonce += 1;
        Some(Frame::Ping(Ping { nonce: self.ping_nonce }))
    }

    fn cancel_ack_frame(&mut self) -> Option<Frame> {
        let n = self.link.cancel_acks.len().min(MAX_ITEMS);
        let leases: Vec<_> = self.link.cancel_acks.drain(..n).collect();
        (!leases.is_empty()).then_some(Frame::CancelAck(CancelAck { leases }))
    }

    fn received_frame(&mut self) -> Option<Frame> {
        let assign_seq = self.link.last_assign_seq;
        std::mem::take(&mut self.link.received_due)
            .then_some(Frame::Received(Received { assign_seq }))
    }

    /// Log lines and progress of attempts that have ended, so that they precede the reports.
    fn last_words_frame(&mut self) -> Option<Frame> {
        while let Some(&no) = self.link.last_words.front() {
            let Some(held) = self.held.get(&no) else {
                self.link.last_words.pop_front();
                continue;
            };
            let lease = Some(held.attempt.lease.clone());
            let lines = held.attempt.take_log_lines(true);
            if !lines.is_empty() {
                return Some(Frame::Log(LogBatch { lease, lines }));
            }
            self.link.last_words.pop_front();
            if let Some(progress) = held.attempt.take_progress() {
                let items = vec![ProgressItem { lease, progress: Some(progress) }];
                return Some(Frame::Progress(ProgressReport { items }));
            }
        }
        None
    }

    /// Small batches wait for the flush interval, so that a fast handler does not cost a frame
    /// for each job; after a quiet moment the first report leaves at once.
    pub(super) fn may_flush(&self, now: Instant, waiting: usize) -> bool {
        let batch = (self.room.slots as usize / 8).clamp(1, 256);
        waiting >= batch || now >= self.link.last_flush + self.tuning.flush_interval
    }

    fn report_frame(&mut self, now: Instant) -> Option<Frame> {
        if self.link.reports.is_empty() || !self.may_flush(now, self.link.reports.len()) {
            return None;
        }
        let mut items = Vec::with_capacity(self.link.reports.len().min(MAX_ITEMS));
        let mut bytes = 0;
        while items.len() < MAX_ITEMS && bytes < MAX_REPORT_BYTES {
            let Some(no) = self.link.reports.pop_front() else { break };
            let report = self.held.get(&no).and_then(|held| held.report.as_ref());
            if let Some(report) = report {
                bytes += outcome_bytes(report);
                items.push(report.clone());
            }
        }
        self.link.last_flush = now;
        if self.link.in_flight == 0 {
            self.link.waits_since = now;
        }
        self.link.in_flight += u32::try_from(items.len()).unwrap_or(u32::MAX);
        (!items.is_empty()).then_some(Frame::Report(Report { items }))
    }

    fn progress_frame(&mut self, now: Instant) -> Option<Frame> {
        if self.link.progress.is_empty()
            || now < self.link.last_progress + self.tuning.progress_interval
        {
            return None;
        }
        let mut items = Vec::new();
        while items.len() < MAX_ITEMS {
            let Some(no) = self.link.progress.pop() else { break };
            let Some(held) = self.held.get_mut(&no) else { continue };
            held.is_in_progress = false;
            if let Some(progress) = held.attempt.take_progress() {
                let lease = Some(held.attempt.lease.clone());
                items.push(ProgressItem { lease, progress: Some(progress) });
            }
        }
        // The interval begins when the last of this round is out.
        if self.link.progress.is_empty() {
            self.link.last_progress = now;
        }
        (!items.is_empty()).then_some(Frame::Progress(ProgressReport { items }))
    }

    /// A checkpoint, a piece of output or a batch of log lines; attempts take turns.
    fn side_frame(&mut self) -> Option<Frame> {
        while let Some(no) = self.link.side.pop_front() {
            let Some(held) = self.held.get_mut(&no) else { continue };
            let lease = Some(held.attempt.lease.clone());
            if let Some((seq, data)) = held.attempt.take_checkpoint() {
                self.link.side.push_front(no);
                return Some(Frame::Checkpoint(Checkpoint { lease, data, seq }));
            }
            if !self.link.takes_output {
                held.attempt.refuse_output(OutputError::Unsupported);
            } else if let Some((offset, data)) = held.attempt.take_output() {
                self.link.side.push_back(no);
                return Some(Frame::Output(Output { lease, offset, data }));
            }
            let lines = held.attempt.take_log_lines(false);
            if lines.is_empty() {
                held.is_in_side = false;
                continue;
            }
            self.link.side.push_back(no);
            return Some(Frame::Log(LogBatch { lease, lines }));
        }
        None
    }
}

fn outcome_bytes(report: &ReportItem) -> usize {
    match &report.outcome {
        Some(report_item::Outcome::Succeeded(done)) => done.result.len(),
        Some(report_item::Outcome::Failed(failed)) => {
            failed.error.as_ref().map_or(0, |error| error.message.len())
        }
        _ => 0,
    }
}
