//! The two ways to a worker: what can not wait overtakes what is bulky.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Ended, ToWorker};

/// Frames that may wait to be sent, per lane.
const LANE: usize = 64;

/// The session's end of the lanes.
pub struct Lanes {
    pub(super) control: mpsc::Sender<ToWorker>,
    bulk: mpsc::Sender<ToWorker>,
}

/// The other end of the lanes; ends when the session has.
pub struct Outgoing {
    control: mpsc::Receiver<ToWorker>,
    bulk: mpsc::Receiver<ToWorker>,
}

/// A pair of lanes.
pub fn lanes() -> (Lanes, Outgoing) {
    let (control, control_out) = mpsc::channel(LANE);
    let (bulk, bulk_out) = mpsc::channel(LANE);
    (Lanes { control, bulk }, Outgoing { control: control_out, bulk: bulk_out })
}

impl Lanes {
    /// Waits for room. A worker that does not read for all of `patience` is gone.
    pub(super) async fn send(&self, frame: ToWorker, patience: Duration) -> Result<(), Ended> {
        let lane = match frame {
            // Revoked follows the assignment that it takes back, or it would go to waste.
            ToWorker::Assign { .. }
            | ToWorker::Revoked(_)
            | ToWorker::LogAck { .. }
            | ToWorker::OutputAck { .. } => &self.bulk,
            _ => &self.control,
        };
        match tokio::time::timeout(patience, lane.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Eof),
            Err(_) => Err(Ended::Silent),
        }
    }
}

impl Outgoing {
    /// The next frame, control before bulk.
    pub async fn next(&mut self) -> Option<ToWorker> {
        tokio::select! {
            biased;
            Some(frame) = self.control.recv() => Some(frame),
            Some(frame) = self.bulk.recv() => Some(frame),
            else => None,
        }
    }
}
