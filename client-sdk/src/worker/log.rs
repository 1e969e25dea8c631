//! The log lines of one attempt that the server has not acknowledged: numbered, limited by a
//! window, sent again after a reconnect. When a handler logs faster than the server stores, the
//! oldest unsent lines are dropped, which leaves a gap in `seq`.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::text::floor_char_boundary;
use crate::proto::jobs::v1::{LogLevel, LogLine};
use crate::time::wire_timestamp;

/// The limit of unacknowledged lines, and also of unsent lines.
pub(crate) const WINDOW_LINES: usize = 1000;
/// Longer lines are split.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;
/// The size limit of the unsent lines of an attempt.
const MAX_UNSENT_BYTES: usize = 4 * 1024 * 1024;
/// The size limit of one frame, well below the message limit.
const MAX_FRAME_BYTES: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct AttemptLog {
    last_seq: u64,
    unsent: VecDeque<LogLine>,
    unsent_bytes: usize,
    unacked: VecDeque<LogLine>,
}

impl AttemptLog {
    pub(crate) fn push(
        &mut self,
        (run, attempt): (u32, u32),
        time: SystemTime,
        level: LogLevel,
        text: &str,
    ) {
        let mut rest = text;
        loop {
            let (line, tail) = rest.split_at(floor_char_boundary(rest, MAX_LINE_BYTES));
            self.last_seq += 1;
            self.unsent_bytes += line.len();
            self.unsent.push_back(LogLine {
                run,
                attempt,
                seq: self.last_seq,
                time: Some(wire_timestamp(time)),
                level: level.into(),
                text: line.to_owned(),
            });
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        while self.unsent.len() > WINDOW_LINES || self.unsent_bytes > MAX_UNSENT_BYTES {
            self.pop_unsent();
        }
    }

    fn pop_unsent(&mut self) -> Option<LogLine> {
        let line = self.unsent.pop_front()?;
        self.unsent_bytes -= line.text.len();
        Some(line)
    }

    /// The lines of the next frame. Empty when no line is unsent or the window is full.
    /// `ignore_window` is for an attempt that has finished.
    pub(crate) fn take(&mut self, ignore_window: bool) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while lines.len() < WINDOW_LINES
            && (ignore_window || self.unacked.len() < WINDOW_LINES)
            && self
                .unsent
                .front()
                .is_some_and(|line| lines.is_empty() || bytes + line.text.len() <= MAX_FRAME_BYTES)
        {
            let Some(line) = self.pop_unsent() else { break };
            bytes += line.text.len();
            self.unacked.push_back(line.clone());
            lines.push(line);
        }
        lines
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.unacked.is_empty()
    }

    /// Removes the lines up to `seq`, which the server has stored.
    pub(crate) fn ack(&mut self, seq: u64) {
        while self.unacked.front().is_some_and(|line| line.seq <= seq) {
            self.unacked.pop_front();
        }
    }

    /// After a lost stream: marks all unacknowledged lines as unsent.
    pub(crate) fn rewind(&mut self) {
        while let Some(line) = self.unacked.pop_back() {
            self.unsent_bytes += line.text.len();
            self.unsent.push_front(line);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.unsent.clear();
        self.unacked.clear();
        self.unsent_bytes = 0;
    }
}

#[cfg(test)]
mod tests;
