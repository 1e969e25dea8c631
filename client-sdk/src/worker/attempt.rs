//! One attempt while this process knows it: shared by its handler, which writes progress, log
//! lines, checkpoints and output, and by the session, which sends them and carries cancels back.
//!
//! The mutex guards memory moves only and is never held across an await.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::log::AttemptLog;
use super::output::{AttemptOutput, MAX_PIECE_BYTES, OutputError, Turn};
use crate::proto::jobs::v1::{LogLevel, LogLine, Progress};
use crate::proto::workers::v1::{Assignment, Lease, OutputAck, Verdict};

/// Attempts whose handlers wrote something. Each attempt is in it at most once, so a capacity of
/// the concurrency is never exceeded.
pub(crate) type Dirty = mpsc::Sender<Arc<Attempt>>;

/// Why a checkpoint was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The lease was lost: the attempt is no longer the job's.
    #[error("the lease of this attempt was lost")]
    Fenced,
    /// At most 64 KiB are allowed.
    #[error("the checkpoint has {bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge {
        /// As given.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The attempt has ended, or a later checkpoint took the place of this one.
    #[error("the attempt ended before the checkpoint was stored")]
    Finished,
}

pub(crate) const MAX_CHECKPOINT_BYTES: usize = 64 * 1024;

pub(crate) struct Attempt {
    /// Counts the attempts of this process; never reused, unlike a lease's parts.
    pub(crate) no: u64,
    pub(crate) lease: Lease,
    /// Without its lease.
    pub(crate) assignment: Assignment,
    pub(crate) instance: Arc<str>,
    cancelled: AtomicBool,
    cancel_wake: Notify,
    token: OnceLock<CancellationToken>,
    abort: OnceLock<AbortHandle>,
    started_at: OnceLock<SystemTime>,
    side: Mutex<Side>,
    /// Made on demand: most handlers hand nothing out before they end.
    output_turn: OnceLock<Arc<Semaphore>>,
    is_dirty: AtomicBool,
    dirty: Dirty,
}

#[derive(Default)]
struct Side {
    ended: bool,
    progress_seq: u64,
    progress: Option<Progress>,
    log: AttemptLog,
    checkpoint_seq: u64,
    checkpoint: Option<PendingCheckpoint>,
    output: AttemptOutput,
}

struct PendingCheckpoint {
    data: Bytes,
    seq: u64,
    is_sent: bool,
    waiter: oneshot::Sender<Result<(), CheckpointError>>,
}

impl Attempt {
    pub(crate) fn new(
        no: u64,
        lease: Lease,
        assignment: Assignment,
        instance: Arc<str>,
        dirty: Dirty,
    ) -> Arc<Self> {
        Arc::new(Self {
            no,
            lease,
            assignment,
            instance,
            cancelled: AtomicBool::new(false),
            cancel_wake: Notify::new(),
            token: OnceLock::new(),
            abort: OnceLock::new(),
            started_at: OnceLock::new(),
            side: Mutex::new(Side::default()),
            output_turn: OnceLock::new(),
            is_dirty: AtomicBool::new(false),
            dirty,
        })
    }

    fn side(&self) -> MutexGuard<'_, Side> {
        // Nothing panics while it is held; a poisoned side is still consistent.
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The handler's half.

    pub(crate) fn start(&self, now: SystemTime) {
        // Only the first start counts; there is one.
        let _ = self.started_at.set(now);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) async fn cancelled(&self) {
        let mut wake = std::pin::pin!(self.cancel_wake.notified());
        // Registered before the flag is read, or a cancel between the two would be missed.
        wake.as_mut().enable();
        if !self.is_cancelled() {
            wake.await;
        }
    }

    /// Made on demand: most handlers never ask for a token.
    pub(crate) fn token(&self) -> CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new).clone();
        if self.is_cancelled() {
            token.cancel();
        }
        token
    }

    pub(crate) fn progress(self: &Arc<Self>, done: u64, total: u64, message: String) {
        {
            let mut side = self.side();
            if side.ended {
                return;
            }
            side.progress_seq += 1;
            side.progress = Some(Progress { seq: side.progress_seq, done, total, message });
        }
        self.mark_dirty();
    }

    pub(crate) fn log(self: &Arc<Self>, time: SystemTime, level: LogLevel, text: &str) {
        {
            let mut side = self.side();
            if side.ended {
                return;
            }
            side.log.push((self.lease.run, self.lease.attempt), time, level, text);
        }
        self.mark_dirty();
    }

    pub(crate) async fn checkpoint(self: &Arc<Self>, data: Bytes) -> Result<(), CheckpointError> {
        if data.len() > MAX_CHECKPOINT_BYTES {
            let max_bytes = MAX_CHECKPOINT_BYTES;
            return Err(CheckpointError::TooLarge { bytes: data.len(), max_bytes });
        }
        let (waiter, answer) = oneshot::channel();
        {
            let mut side = self.side();
            if side.ended {
                return Err(CheckpointError::Finished);
            }
            side.checkpoint_seq += 1;
            let seq = side.checkpoint_seq;
            side.checkpoint = Some(PendingCheckpoint { data, seq, is_sent: false, waiter });
        }
        self.mark_dirty();
        answer.await.unwrap_or(Err(CheckpointError::Finished))
    }

    pub(crate) async fn output(self: &Arc<Self>, mut data: Bytes) -> Result<(), OutputError> {
        let turns = self.output_turn.get_or_init(|| Arc::new(Semaphore::new(1))).clone();
        // It is never closed.
        let turn = turns.acquire_owned().await.map_err(|_| OutputError::Finished)?;
        let turn: Turn = Arc::new(turn);
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(MAX_PIECE_BYTES));
            let answer = {
                let mut side = self.side();
                if side.ended {
                    return Err(OutputError::Finished);
                }
                side.output.push(piece, turn.clone())?
            };
            self.mark_dirty();
            answer.await.unwrap_or(Err(OutputError::Finished))?;
        }
        Ok(())
    }

    fn mark_dirty(self: &Arc<Self>) {
        if !self.is_dirty.swap(true, Ordering::AcqRel) && self.dirty.try_send(self.clone()).is_err()
        {
            // Only when the session is gone.
            self.is_dirty.store(false, Ordering::Release);
        }
    }

    // The session's half.

    pub(crate) fn started_at(&self) -> Option<SystemTime> {
        self.started_at.get().copied()
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.cancel_wake.notify_waiters();
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    pub(crate) fn set_abort(&self, abort: AbortHandle) {
        // Set once, by the one place that spawns the handler.
        let _ = self.abort.set(abort);
    }

    /// Drops the handler at its next await.
    pub(crate) fn abort(&self) {
        if let Some(abort) = self.abort.get() {
            abort.abort();
        }
    }

    /// Called before the writes are read, so that a write in between makes it dirty again.
    pub(crate) fn clean(&self) {
        self.is_dirty.store(false, Ordering::Release);
    }

    /// The handler is done: later writes are ignored; what was written stays to be sent.
    pub(crate) fn end(&self) {
        let mut side = self.side();
        side.ended = true;
        side.checkpoint = None;
        side.output.refuse(OutputError::Finished);
    }

    /// The lease is lost: nothing more is sent.
    pub(crate) fn silence(&self) {
        let mut side = self.side();
        side.ended = true;
        side.progress = None;
        side.log.clear();
        if let Some(pending) = side.checkpoint.take() {
            let _ = pending.waiter.send(Err(CheckpointError::Fenced));
        }
        side.output.refuse(OutputError::Fenced);
    }

    pub(crate) fn has_progress(&self) -> bool {
        self.side().progress.is_some()
    }

    pub(crate) fn take_progress(&self) -> Option<Progress> {
        self.side().progress.take()
    }

    pub(crate) fn has_log_lines(&self) -> bool {
        self.side().log.has_unsent()
    }

    pub(crate) fn log_is_empty(&self) -> bool {
        self.side().log.is_empty()
    }

    pub(crate) fn take_log_lines(&self, last_words: bool) -> Vec<LogLine> {
        self.side().log.take(last_words)
    }

    pub(crate) fn ack_log(&self, seq: u64) {
        self.side().log.ack(seq);
    }

    /// The stream is gone: what it had not acknowledged is to be sent again.
    pub(crate) fn rewind(&self) {
        let mut side = self.side();
        side.log.rewind();
        side.output.rewind();
        if let Some(pending) = &mut side.checkpoint {
            pending.is_sent = false;
        }
    }

    pub(crate) fn has_checkpoint(&self) -> bool {
        self.side().checkpoint.as_ref().is_some_and(|pending| !pending.is_sent)
    }

    pub(crate) fn take_checkpoint(&self) -> Option<(u64, Bytes)> {
        let mut side = self.side();
        let pending = side.checkpoint.as_mut().filter(|pending| !pending.is_sent)?;
        pending.is_sent = true;
        Some((pending.seq, pending.data.clone()))
    }

    /// Answers the handler; `false` when the checkpoint is to be sent again later.
    pub(crate) fn ack_checkpoint(&self, seq: u64, verdict: Verdict) -> bool {
        let mut side = self.side();
        let Some(pending) = side.checkpoint.take_if(|pending| pending.seq == seq) else {
            return true;
        };
        let answer = match verdict {
            Verdict::Recorded | Verdict::Duplicate => Ok(()),
            Verdict::Fenced => Err(CheckpointError::Fenced),
            Verdict::RetryLater | Verdict::Unspecified => {
                side.checkpoint = Some(pending);
                return false;
            }
        };
        // The handler may have stopped waiting.
        let _ = pending.waiter.send(answer);
        true
    }

    pub(crate) fn has_output(&self) -> bool {
        self.side().output.has_unsent()
    }

    pub(crate) fn take_output(&self) -> Option<(u64, Bytes)> {
        self.side().output.take()
    }

    /// Answers the handler; `false` when the piece is to be sent again later.
    pub(crate) fn ack_output(&self, ack: &OutputAck) -> bool {
        self.side().output.ack(ack.offset, ack.verdict(), ack.stored)
    }

    pub(crate) fn refuse_output(&self, error: OutputError) {
        self.side().output.refuse(error);
    }

    /// After a pause that a RETRY_LATER asked for.
    pub(crate) fn unsend(&self) {
        let mut side = self.side();
        side.output.rewind();
        if let Some(pending) = &mut side.checkpoint {
            pending.is_sent = false;
        }
    }
}
