//! The log lines of one attempt on their way to the server: numbered, windowed, sent again after
//! a break. A handler that logs faster than lines are stored loses its oldest unsent lines; the
//! gap in `seq` shows it.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::outcome::char_floor;
use crate::proto::jobs::v1::{LogLevel, LogLine};
use crate::time::wire_timestamp;

/// Lines sent and not yet acknowledged, and lines waiting to be sent: each at most this many.
pub(crate) const WINDOW_LINES: usize = 1000;
/// Longer lines are split.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;
/// Waiting lines of one attempt hold at most this.
const MAX_UNSENT_BYTES: usize = 4 * 1024 * 1024;
/// One frame holds at most this, far below the limit of a message.
const MAX_FRAME_BYTES: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct AttemptLog {
    last_seq: u64,
    unsent: VecDeque<LogLine>,
    unsent_bytes: usize,
    in_flight: VecDeque<LogLine>,
}

impl AttemptLog {
    pub(crate) fn push(
        &mut self,
        lease: (u32, u32),
        time: SystemTime,
        level: LogLevel,
        text: &str,
    ) {
        let mut rest = text;
        loop {
            let (line, tail) = rest.split_at(char_floor(rest, MAX_LINE_BYTES));
            self.last_seq += 1;
            self.unsent_bytes += line.len();
            self.unsent.push_back(LogLine {
                run: lease.0,
                attempt: lease.1,
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

    /// The next frame's lines. Empty when there is nothing to send or the window is full;
    /// `last_words` ignores the window, for an attempt that has ended.
    pub(crate) fn take(&mut self, last_words: bool) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while lines.len() < WINDOW_LINES
            && (last_words || self.in_flight.len() < WINDOW_LINES)
            && self
                .unsent
                .front()
                .is_some_and(|l| lines.is_empty() || bytes + l.text.len() <= MAX_FRAME_BYTES)
        {
            let Some(line) = self.pop_unsent() else { break };
            bytes += line.text.len();
            self.in_flight.push_back(line.clone());
            lines.push(line);
        }
        lines
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.in_flight.is_empty()
    }

    /// Lines up to `seq` are stored.
    pub(crate) fn ack(&mut self, seq: u64) {
        while self.in_flight.front().is_some_and(|line| line.seq <= seq) {
            self.in_flight.pop_front();
        }
    }

    /// The stream is gone: what it had not acknowledged goes out again.
    pub(crate) fn rewind(&mut self) {
        while let Some(line) = self.in_flight.pop_back() {
            self.unsent_bytes += line.text.len();
            self.unsent.push_front(line);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.unsent.clear();
        self.in_flight.clear();
        self.unsent_bytes = 0;
    }
}

#[cfg(test)]
mod tests;
