//! The frames that wait to be sent to a worker: control frames overtake bulk frames.

use std::time::Duration;

use tokio::sync::mpsc;

use super::frame::{StreamEnd, ToWorker};

/// The most frames that wait, per priority.
const CAPACITY: usize = 64;

/// The session's end of the queue.
pub struct OutboundQueue {
    control: mpsc::Sender<ToWorker>,
    bulk: mpsc::Sender<ToWorker>,
}

/// The stream's end of the queue. It closes with the session.
pub struct OutboundFrames {
    control: mpsc::Receiver<ToWorker>,
    bulk: mpsc::Receiver<ToWorker>,
}

/// Returns both ends of a queue.
pub fn outbound_queue() -> (OutboundQueue, OutboundFrames) {
    let (control, control_frames) = mpsc::channel(CAPACITY);
    let (bulk, bulk_frames) = mpsc::channel(CAPACITY);
    let frames = OutboundFrames { control: control_frames, bulk: bulk_frames };
    (OutboundQueue { control, bulk }, frames)
}

impl OutboundQueue {
    /// Adds a frame, waiting for space. A worker that reads nothing within `timeout` is silent.
    pub(super) async fn send(&self, frame: ToWorker, timeout: Duration) -> Result<(), StreamEnd> {
        let queue = match frame {
            // Revoked stays behind the assignment that it revokes, or the worker would ignore it.
            ToWorker::Assign { .. }
            | ToWorker::Revoked(_)
            | ToWorker::LogAck { .. }
            | ToWorker::OutputAck { .. } => &self.bulk,
            _ => &self.control,
        };
        match tokio::time::timeout(timeout, queue.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StreamEnd::Eof),
            Err(_) => Err(StreamEnd::Silent),
        }
    }

    /// Adds a control frame if there is space.
    pub(super) fn try_send_control(&self, frame: ToWorker) {
        let _ = self.control.try_send(frame);
    }
}

impl OutboundFrames {
    /// Returns the next frame, control frames first.
    pub async fn next(&mut self) -> Option<ToWorker> {
        tokio::select! {
            biased;
            Some(frame) = self.control.recv() => Some(frame),
            Some(frame) = self.bulk.recv() => Some(frame),
            else => None,
        }
    }
}
