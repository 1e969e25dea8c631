//! Credit for more jobs: slots, and payload bytes as a soft limit. The server assigns while both
//! are left, so the last job may exceed the bytes.

use std::time::Instant;

use super::SessionState;
use crate::proto::workers::v1::{Credit, session_request::Frame};

/// The limits of jobs that run at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) slots: u32,
    /// 0 means unlimited.
    pub(crate) payload_bytes: u64,
}

impl SessionState {
    /// Slots that are neither used nor granted. Unsettled reports reduce them too, so that this
    /// process does not grow while the store commits nothing.
    pub(super) fn available_slots(&self) -> u32 {
        if self.drain.has_started() {
            return 0;
        }
        let (slots, granted) = (self.capacity.slots, self.stream.granted_slots);
        let by_slots = slots.saturating_sub(self.running).saturating_sub(granted);
        let max_unsettled = slots.saturating_mul(2).max(10_000);
        let by_reports =
            max_unsettled.saturating_sub(self.unsettled_reports).saturating_sub(granted);
        by_slots.min(by_reports)
    }

    /// Bytes that are neither used nor granted; negative after a job that exceeded the limit.
    fn available_bytes(&self) -> i64 {
        if self.drain.has_started() || self.capacity.payload_bytes == 0 {
            return 0;
        }
        let limit = i64::try_from(self.capacity.payload_bytes).unwrap_or(i64::MAX);
        limit.saturating_sub(self.running_bytes).saturating_sub(self.stream.granted_bytes)
    }

    pub(super) fn has_available_credit(&self) -> bool {
        self.available_slots() > 0 || self.available_bytes() > 0
    }

    /// Grants all available credit.
    pub(super) fn grant_credit(&mut self) -> Credit {
        let jobs = self.available_slots();
        let bytes = match self.capacity.payload_bytes {
            0 => 0,
            // At least 1, because 0 would mean unlimited.
            _ => self.available_bytes().max(1),
        };
        self.stream.granted_slots += jobs;
        self.stream.granted_bytes = self.stream.granted_bytes.saturating_add(bytes);
        Credit { jobs, bytes: bytes.unsigned_abs() }
    }

    pub(super) fn credit_frame(&mut self, now: Instant) -> Option<Frame> {
        let flushed_now = self.stream.last_flush == now;
        let jobs = self.available_slots() as usize;
        if !self.has_available_credit() || !(flushed_now || self.may_flush(now, jobs)) {
            return None;
        }
        self.stream.last_flush = now;
        Some(Frame::Credit(self.grant_credit()))
    }
}
