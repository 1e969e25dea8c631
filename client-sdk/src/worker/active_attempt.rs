//! One attempt that this process has leased. The handler writes progress, log lines, checkpoints
//! and output into it; the session sends them and delivers cancels.
//!
//! The mutex protects short memory operations and is never held across an await.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::log::AttemptLog;
use super::output::{AttemptOutput, MAX_CHUNK_BYTES, OutputError, OutputPermit};
use crate::proto::jobs::v1::{LogLevel, LogLine, Progress};
use crate::proto::workers::v1::{Assignment, Lease, OutputAck, Verdict};

/// Sends attempts with unsent data to the session. Each attempt is queued at most once, so a
/// capacity equal to the concurrency is never exceeded.
pub(crate) type DirtySender = mpsc::Sender<Arc<ActiveAttempt>>;

/// Why a checkpoint was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The attempt lost its lease; the handler should stop.
    #[error("the attempt lost its lease")]
    Fenced,
    /// The checkpoint exceeds 64 KiB.
    #[error("the checkpoint has {bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge {
        /// The size of the checkpoint.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The attempt finished, or a later checkpoint replaced this one.
    #[error("the attempt finished before the checkpoint was stored, or a later one replaced it")]
    Finished,
}

pub(crate) const MAX_CHECKPOINT_BYTES: usize = 64 * 1024;

pub(crate) struct ActiveAttempt {
    /// Unique within this process, unlike the parts of a lease.
    pub(crate) local_id: u64,
    pub(crate) lease: Lease,
    /// Without the lease.
    pub(crate) assignment: Assignment,
    pub(crate) instance: Arc<str>,
    cancelled: AtomicBool,
    cancel_notify: Notify,
    cancel_token: OnceLock<CancellationToken>,
    abort_handle: OnceLock<AbortHandle>,
    started_at: OnceLock<(SystemTime, Instant)>,
    data: Mutex<AttemptData>,
    /// Serializes output calls. Created on first use, since most handlers write no output.
    output_semaphore: OnceLock<Arc<Semaphore>>,
    is_dirty: AtomicBool,
    dirty: DirtySender,
}

/// What the handler has written and the session has not finished sending.
#[derive(Default)]
struct AttemptData {
    is_closed: bool,
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
    reply: oneshot::Sender<Result<(), CheckpointError>>,
}

impl ActiveAttempt {
    pub(crate) fn new(
        local_id: u64,
        lease: Lease,
        assignment: Assignment,
        instance: Arc<str>,
        dirty: DirtySender,
    ) -> Arc<Self> {
        Arc::new(Self {
            local_id,
            lease,
            assignment,
            instance,
            cancelled: AtomicBool::new(false),
            cancel_notify: Notify::new(),
            cancel_token: OnceLock::new(),
            abort_handle: OnceLock::new(),
            started_at: OnceLock::new(),
            data: Mutex::new(AttemptData::default()),
            output_semaphore: OnceLock::new(),
            is_dirty: AtomicBool::new(false),
            dirty,
        })
    }

    fn data(&self) -> MutexGuard<'_, AttemptData> {
        // No code panics while it holds the lock, so the data is consistent.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Called by the handler and its task.

    /// Records that the handler has begun, by the calendar and by the monotonic clock.
    pub(crate) fn begin(&self, time: SystemTime, now: Instant) {
        // Called once per attempt.
        let _ = self.started_at.set((time, now));
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) async fn cancelled(&self) {
        let mut notified = std::pin::pin!(self.cancel_notify.notified());
        // Registered before the flag is read; otherwise a cancel in between would be missed.
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }

    /// Creates the token on first use, since most handlers never need one.
    pub(crate) fn cancellation_token(&self) -> CancellationToken {
        let token = self.cancel_token.get_or_init(CancellationToken::new).clone();
        if self.is_cancelled() {
            token.cancel();
        }
        token
    }

    pub(crate) fn progress(self: &Arc<Self>, done: u64, total: u64, message: String) {
        {
            let mut data = self.data();
            if data.is_closed {
                return;
            }
            data.progress_seq += 1;
            data.progress = Some(Progress { seq: data.progress_seq, done, total, message });
        }
        self.mark_dirty();
    }

    pub(crate) fn log(self: &Arc<Self>, time: SystemTime, level: LogLevel, text: &str) {
        {
            let mut data = self.data();
            if data.is_closed {
                return;
            }
            data.log.push((self.lease.run, self.lease.attempt), time, level, text);
        }
        self.mark_dirty();
    }

    pub(crate) async fn checkpoint(self: &Arc<Self>, state: Bytes) -> Result<(), CheckpointError> {
        if state.len() > MAX_CHECKPOINT_BYTES {
            let max_bytes = MAX_CHECKPOINT_BYTES;
            return Err(CheckpointError::TooLarge { bytes: state.len(), max_bytes });
        }
        let (reply, result) = oneshot::channel();
        {
            let mut data = self.data();
            if data.is_closed {
                return Err(CheckpointError::Finished);
            }
            data.checkpoint_seq += 1;
            let seq = data.checkpoint_seq;
            data.checkpoint = Some(PendingCheckpoint { data: state, seq, is_sent: false, reply });
        }
        self.mark_dirty();
        result.await.unwrap_or(Err(CheckpointError::Finished))
    }

    pub(crate) async fn write_output(
        self: &Arc<Self>,
        mut bytes: Bytes,
    ) -> Result<(), OutputError> {
        let semaphore = self.output_semaphore.get_or_init(|| Arc::new(Semaphore::new(1))).clone();
        // Can not fail: the semaphore is never closed.
        let permit = semaphore.acquire_owned().await.map_err(|_| OutputError::Finished)?;
        let permit: OutputPermit = Arc::new(permit);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(MAX_CHUNK_BYTES));
            let result = {
                let mut data = self.data();
                if data.is_closed {
                    return Err(OutputError::Finished);
                }
                data.output.push(chunk, permit.clone())?
            };
            self.mark_dirty();
            result.await.unwrap_or(Err(OutputError::Finished))?;
        }
        Ok(())
    }

    fn mark_dirty(self: &Arc<Self>) {
        if !self.is_dirty.swap(true, Ordering::AcqRel) && self.dirty.try_send(self.clone()).is_err()
        {
            // Fails only after the session has stopped.
            self.is_dirty.store(false, Ordering::Release);
        }
    }

    // Called by the session.

    pub(crate) fn started_at(&self) -> Option<SystemTime> {
        self.started_at.get().map(|(time, _)| *time)
    }

    /// When the handler began, by the monotonic clock. `None` while it waits for a thread.
    pub(crate) fn began_at(&self) -> Option<Instant> {
        self.started_at.get().map(|(_, now)| *now)
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.cancel_notify.notify_waiters();
        if let Some(token) = self.cancel_token.get() {
            token.cancel();
        }
    }

    pub(crate) fn set_abort_handle(&self, abort_handle: AbortHandle) {
        // Called once per attempt, when the handler is spawned.
        let _ = self.abort_handle.set(abort_handle);
    }

    /// Drops the handler's future at its next await.
    pub(crate) fn abort(&self) {
        if let Some(abort_handle) = self.abort_handle.get() {
            abort_handle.abort();
        }
    }

    /// Must be called before the data is read, so that a write during the read marks the attempt
    /// again.
    pub(crate) fn clear_dirty(&self) {
        self.is_dirty.store(false, Ordering::Release);
    }

    /// Closes the attempt after its handler has finished: later writes are ignored, earlier ones
    /// are still sent.
    pub(crate) fn finish(&self) {
        let mut data = self.data();
        data.is_closed = true;
        data.checkpoint = None;
        data.output.fail(OutputError::Finished);
    }

    /// Closes the attempt after its lease was lost: nothing more is sent.
    pub(crate) fn discard(&self) {
        let mut data = self.data();
        data.is_closed = true;
        data.progress = None;
        data.log.clear();
        if let Some(pending) = data.checkpoint.take() {
            let _ = pending.reply.send(Err(CheckpointError::Fenced));
        }
        data.output.fail(OutputError::Fenced);
    }

    pub(crate) fn has_progress(&self) -> bool {
        self.data().progress.is_some()
    }

    pub(crate) fn take_progress(&self) -> Option<Progress> {
        self.data().progress.take()
    }

    pub(crate) fn has_log_lines(&self) -> bool {
        self.data().log.has_unsent()
    }

    pub(crate) fn log_is_empty(&self) -> bool {
        self.data().log.is_empty()
    }

    pub(crate) fn take_log_lines(&self, ignore_window: bool) -> Vec<LogLine> {
        self.data().log.take(ignore_window)
    }

    pub(crate) fn ack_log(&self, seq: u64) {
        self.data().log.ack(seq);
    }

    /// After a lost stream: marks all unacknowledged data as unsent.
    pub(crate) fn rewind(&self) {
        self.data().log.rewind();
        self.rewind_checkpoint_and_output();
    }

    pub(crate) fn has_checkpoint(&self) -> bool {
        self.data().checkpoint.as_ref().is_some_and(|pending| !pending.is_sent)
    }

    pub(crate) fn take_checkpoint(&self) -> Option<(u64, Bytes)> {
        let mut data = self.data();
        let pending = data.checkpoint.as_mut().filter(|pending| !pending.is_sent)?;
        pending.is_sent = true;
        Some((pending.seq, pending.data.clone()))
    }

    /// Applies the acknowledgement of a checkpoint. Returns `false` when the checkpoint must be
    /// sent again later.
    pub(crate) fn ack_checkpoint(&self, seq: u64, verdict: Verdict) -> bool {
        let mut data = self.data();
        let Some(pending) = data.checkpoint.take_if(|pending| pending.seq == seq) else {
            return true;
        };
        let result = match verdict {
            Verdict::Recorded | Verdict::Duplicate => Ok(()),
            Verdict::Fenced => Err(CheckpointError::Fenced),
            Verdict::RetryLater | Verdict::Unspecified => {
                data.checkpoint = Some(pending);
                return false;
            }
        };
        // Fails when the handler no longer waits.
        let _ = pending.reply.send(result);
        true
    }

    pub(crate) fn has_output(&self) -> bool {
        self.data().output.has_unsent()
    }

    pub(crate) fn take_output(&self) -> Option<(u64, Bytes)> {
        self.data().output.take()
    }

    /// Applies the acknowledgement of an output chunk. Returns `false` when the chunk must be sent
    /// again later.
    pub(crate) fn ack_output(&self, ack: &OutputAck) -> bool {
        self.data().output.ack(ack.offset, ack.verdict(), ack.stored)
    }

    pub(crate) fn fail_output(&self, error: OutputError) {
        self.data().output.fail(error);
    }

    /// Marks an unacknowledged checkpoint and output chunk as unsent.
    pub(crate) fn rewind_checkpoint_and_output(&self) {
        let mut data = self.data();
        data.output.rewind();
        if let Some(pending) = &mut data.checkpoint {
            pending.is_sent = false;
        }
    }
}
