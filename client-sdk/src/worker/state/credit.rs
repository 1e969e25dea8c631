//! Room for more jobs: slots, and the bytes of their payloads as a soft bound. The server
//! assigns while both are left, so that one job at most goes beyond the bytes.

use std::time::Instant;

use super::SessionState;
use crate::proto::workers::v1::{Credit, session_request::Frame};

/// What a worker is content to run at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) slots: u32,
    /// 0: no bound.
    pub(crate) payload_bytes: u64,
}

impl SessionState {
    /// Slots that are neither used nor granted. Reports that wait for their acknowledgement
    /// bound them too: a store that stops committing must not make this process grow.
    pub(super) fn grantable(&self) -> u32 {
        if self.drain.has_begun() {
            return 0;
        }
        let (slots, out) = (self.room.slots, self.link.credit_out);
        let by_slots = slots.saturating_sub(self.running).saturating_sub(out);
        let unacked_max = slots.saturating_mul(2).max(10_000);
        let by_reports = unacked_max.saturating_sub(self.unacked).saturating_sub(out);
        by_slots.min(by_reports)
    }

    /// Bytes that are neither used nor granted; negative after a job that went beyond.
    fn grantable_bytes(&self) -> i64 {
        if self.drain.has_begun() || self.room.payload_bytes == 0 {
            return 0;
        }
        let budget = i64::try_from(self.room.payload_bytes).unwrap_or(i64::MAX);
        budget.saturating_sub(self.running_bytes).saturating_sub(self.link.bytes_out)
    }

    pub(super) fn has_room_to_grant(&self) -> bool {
        self.grantable() > 0 || self.grantable_bytes() > 0
    }

    /// All the room there is, from now on granted.
    pub(super) fn grant(&mut self) -> Credit {
        let jobs = self.grantable();
        let bytes = match self.room.payload_bytes {
            0 => 0,
            // 0 would lift the bound; a byte too much is less than a job too much.
            _ => self.grantable_bytes().max(1),
        };
        self.link.credit_out += jobs;
        self.link.bytes_out = self.link.bytes_out.saturating_add(bytes);
        Credit { jobs, bytes: bytes.unsigned_abs() }
    }

    pub(super) fn credit_frame(&mut self, now: Instant) -> Option<Frame> {
        let flushed_now = self.link.last_flush == now;
        let jobs = self.grantable() as usize;
        if !self.has_room_to_grant() || !(flushed_now || self.may_flush(now, jobs)) {
            return None;
        }
        self.link.last_flush = now;
        Some(Frame::Credit(self.grant()))
    }
}
