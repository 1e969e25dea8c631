//! The output of one attempt: split into chunks, sent one at a time, sent again after a reconnect.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::proto::workers::v1::Verdict;

/// The largest chunk.
pub(crate) const MAX_CHUNK_BYTES: usize = 64 * 1024;
/// The limit of all output of an attempt.
const MAX_OUTPUT_BYTES: u64 = 10 * 1024 * 1024;

/// Why output was not stored. Output of earlier calls stays stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The attempt lost its lease; the handler should stop.
    #[error("the attempt lost its lease")]
    Fenced,
    /// The output of the attempt would exceed 10 MiB.
    #[error("the output would have {bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge {
        /// The size that the output would have.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The server rejected the output: it is missing earlier output of this attempt, or has too
    /// many chunks of it.
    #[error("the server rejected the output; it has stored {stored} bytes of this attempt")]
    Rejected {
        /// The bytes of this attempt that the server has stored.
        stored: u64,
    },
    /// The server's version does not support output.
    #[error("the server does not support output; upgrade the server")]
    Unsupported,
    /// The attempt finished.
    #[error("the attempt finished before the output was stored")]
    Finished,
}

/// Serializes output calls: a call holds the permit until its last chunk is stored.
pub(crate) type OutputPermit = Arc<OwnedSemaphorePermit>;

pub(crate) type OutputReceiver = oneshot::Receiver<Result<(), OutputError>>;

#[derive(Default)]
pub(crate) struct AttemptOutput {
    stored: u64,
    pending: Option<PendingChunk>,
}

struct PendingChunk {
    offset: u64,
    data: Bytes,
    is_sent: bool,
    reply: oneshot::Sender<Result<(), OutputError>>,
    /// Held even when the caller no longer waits, so that the next call follows this chunk.
    _permit: OutputPermit,
}

impl AttemptOutput {
    /// Queues the next chunk. The caller holds the permit, so no other chunk is pending.
    pub(crate) fn push(
        &mut self,
        data: Bytes,
        permit: OutputPermit,
    ) -> Result<OutputReceiver, OutputError> {
        let bytes = self.stored + data.len() as u64;
        if bytes > MAX_OUTPUT_BYTES {
            return Err(OutputError::TooLarge { bytes, max_bytes: MAX_OUTPUT_BYTES });
        }
        let (reply, result) = oneshot::channel();
        let offset = self.stored;
        self.pending = Some(PendingChunk { offset, data, is_sent: false, reply, _permit: permit });
        Ok(result)
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| !pending.is_sent)
    }

    /// The offset and the data of the chunk to send, if any; marks it as sent.
    pub(crate) fn take(&mut self) -> Option<(u64, Bytes)> {
        let pending = self.pending.as_mut().filter(|pending| !pending.is_sent)?;
        pending.is_sent = true;
        Some((pending.offset, pending.data.clone()))
    }

    /// Applies an acknowledgement. Returns `false` when the chunk must be sent again later.
    pub(crate) fn ack(&mut self, offset: u64, verdict: Verdict, stored: u64) -> bool {
        let Some(pending) = self.pending.take_if(|pending| pending.offset == offset) else {
            return true;
        };
        let end = offset + pending.data.len() as u64;
        let result = match verdict {
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
        // Fails when the handler no longer waits.
        let _ = pending.reply.send(result);
        true
    }

    /// Marks the pending chunk as unsent.
    pub(crate) fn rewind(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.is_sent = false;
        }
    }

    /// Fails the pending chunk, if any.
    pub(crate) fn fail(&mut self, error: OutputError) {
        if let Some(pending) = self.pending.take() {
            let _ = pending.reply.send(Err(error));
        }
    }
}
