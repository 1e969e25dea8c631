//! What a handler hands out while it runs: cut into pieces, one of an attempt on its way at a
//! time, sent again after a break.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::proto::workers::v1::Verdict;

/// The largest piece.
pub(crate) const MAX_PIECE_BYTES: usize = 64 * 1024;
/// All output of an attempt.
const MAX_OUTPUT_BYTES: u64 = 10 * 1024 * 1024;

/// Why output was not stored. What was handed out before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The lease was lost: the attempt is no longer the job's.
    #[error("the lease of this attempt was lost")]
    Fenced,
    /// An attempt may hand out 10 MiB.
    #[error("the output would have {bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge {
        /// What it would add up to.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The server has another place than this attempt, or has too many pieces of it.
    #[error("the server took the output up to byte {stored} only")]
    Rejected {
        /// Bytes of this attempt that it has.
        stored: u64,
    },
    /// The server is of a version that takes none.
    #[error("the server is too old to take output")]
    Unsupported,
    /// The attempt has ended.
    #[error("the attempt ended before the output was stored")]
    Finished,
}

/// Pieces go out in turn; a caller holds the turn until its last one is stored.
pub(crate) type Turn = Arc<OwnedSemaphorePermit>;

#[derive(Default)]
pub(crate) struct AttemptOutput {
    stored: u64,
    pending: Option<Pending>,
}

struct Pending {
    offset: u64,
    data: Bytes,
    is_sent: bool,
    waiter: oneshot::Sender<Result<(), OutputError>>,
    /// Kept also when the caller has stopped waiting: the next one goes on behind this piece.
    _turn: Turn,
}

pub(crate) type Answer = oneshot::Receiver<Result<(), OutputError>>;

impl AttemptOutput {
    /// Takes the next piece; there is none on its way.
    pub(crate) fn push(&mut self, data: Bytes, turn: Turn) -> Result<Answer, OutputError> {
        let bytes = self.stored + data.len() as u64;
        if bytes > MAX_OUTPUT_BYTES {
            return Err(OutputError::TooLarge { bytes, max_bytes: MAX_OUTPUT_BYTES });
        }
        let (waiter, answer) = oneshot::channel();
        let offset = self.stored;
        self.pending = Some(Pending { offset, data, is_sent: false, waiter, _turn: turn });
        Ok(answer)
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| !pending.is_sent)
    }

    /// The piece to send, with its offset.
    pub(crate) fn take(&mut self) -> Option<(u64, Bytes)> {
        let pending = self.pending.as_mut().filter(|pending| !pending.is_sent)?;
        pending.is_sent = true;
        Some((pending.offset, pending.data.clone()))
    }

    /// Answers the handler; `false` when the piece is to be sent again later.
    pub(crate) fn ack(&mut self, offset: u64, verdict: Verdict, stored: u64) -> bool {
        let Some(pending) = self.pending.take_if(|pending| pending.offset == offset) else {
            return true;
        };
        let end = offset + pending.data.len() as u64;
        let answer = match verdict {
            Verdict::Recorded | Verdict::Duplicate if stored >= end => {
                self.stored = end;
                Ok(())
            }
            Verdict::Recorded | Verdict::Duplicate => Err(OutputError::Rejected { stored }),
            Verdict::Fenced => Err(OutputError::Fenced),
            Verdict::RetryLater | Verdict::Unspecified => {
                self.pending = Some(pending);
                return false;
            }
        };
        // The handler may have stopped waiting.
        let _ = pending.waiter.send(answer);
        true
    }

    /// What was sent goes out again.
    pub(crate) fn rewind(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.is_sent = false;
        }
    }

    /// Nothing more is sent.
    pub(crate) fn refuse(&mut self, error: OutputError) {
        if let Some(pending) = self.pending.take() {
            let _ = pending.waiter.send(Err(error));
        }
    }
}
