//! One watch: a snapshot, then every change of the selected jobs.
//!
//! The watch joins the fan-out first and reads the snapshot then. A change in between is in both;
//! its version shows that it is known. The snapshot of a filter comes from the ledger, and the
//! journal leads from there to the present.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId, Progress, State};
use sentinel_ledger::{LogRow, QueueCount};
use sentinel_store::{JournalPage, Position, Store};
use tokio::sync::watch;
use tokio::time::Instant;

use super::remote_jobs::RemoteJobs;
use super::watcher::{Buffered, JournalChange, Watcher};
use super::{Cursor, Fanout, Selector};
use crate::cluster::{StoreHealth, until_unreachable};
use crate::dispatch::SessionRegistry;
use crate::history::History;
use crate::jobs::JobReader;
use crate::runtime::sleep_until_some;
use crate::{EngineError, Observer};

/// The interval of keepalives while nothing else is sent.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How often a resumed watch checks whether it is complete.
const SETTLING_POLL: Duration = Duration::from_millis(20);

/// How long a watch waits for this server to reach the cursor that a peer sent.
const HEAD_WITHIN: Duration = Duration::from_secs(3);

/// The most journal entries of one read while catching up.
const ENTRIES_MAX: usize = 64;

/// Why a watch has a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    Trimmed,
    SlowReader,
    Epoch,
}

/// The selected jobs at one point.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub jobs: Vec<Arc<Job>>,
    pub is_truncated: bool,
    pub unknown: Vec<JobId>,
    pub counts: Vec<QueueCount>,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    Snapshot(Snapshot, Cursor),
    Change(Arc<Job>, Cursor),
    Progress { id: JobId, attempt: u32, progress: Progress },
    Logs { id: JobId, rows: Arc<[LogRow]> },
    Gap(GapReason),
    Keepalive(Cursor),
}

/// The version of a job that the reader has.
#[derive(Clone, Copy)]
pub(super) struct ShownVersion {
    version: u64,
    /// 0 without progress.
    progress_seq: u64,
}

impl ShownVersion {
    pub(super) fn of(job: &Job) -> Self {
        let progress_seq = job.status.progress.as_ref().map_or(0, |progress| progress.seq);
        Self { version: job.status.version, progress_seq }
    }
}

/// What all watches of a server use.
pub(crate) struct WatchContext {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) reader: JobReader,
    pub(crate) history: Arc<History>,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) registry: Arc<SessionRegistry>,
    pub(crate) health: Arc<StoreHealth>,
    pub(crate) observer: Arc<dyn Observer>,
}

/// Opens watches.
pub struct Watches(pub(crate) Arc<WatchContext>);

/// An open watch.
pub struct Watch {
    pub(super) context: Arc<WatchContext>,
    pub(super) selector: Selector,
    watcher: Arc<Watcher>,
    /// The buffer holds the changes after this position.
    pub(super) buffered_from: Position,
    gap: Option<GapReason>,
    /// The journal between this cursor and `buffered_from` is still to be read.
    pub(super) catch_up: Option<Cursor>,
    /// All changes up to here were taken from the buffer.
    position: Position,
    /// The cursor that the watch resumed from. The buffer may hold changes before it.
    pub(super) resumed: Option<Cursor>,
    /// Versions that may come again: those of the snapshot, and those of RUNNING jobs, whose
    /// stored progress is an event without a new version.
    pub(super) shown: HashMap<JobId, ShownVersion>,
    /// The jobs of a watch by ids whose terminal state was not sent yet.
    pub(super) open: HashSet<JobId>,
    /// Jobs that were terminal when the watch resumed. They are closed once all changes up to the
    /// position were sent.
    pub(super) settled: Option<(Position, Vec<JobId>)>,
    /// Only for a watch by ids that wants log lines.
    remote_jobs: Option<RemoteJobs>,
    is_unreachable: watch::Receiver<bool>,
    pub(super) out: VecDeque<WatchEvent>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.context.fanout.leave(&self.watcher);
        self.context.observer.watches(-1);
    }
}

impl Watches {
    /// Opens a watch. Fails when none of the ids exists.
    pub async fn open(
        &self,
        selector: Selector,
        cursor: Option<Cursor>,
        wants_logs: bool,
    ) -> Result<Watch, EngineError> {
        selector.check()?;
        let context = self.0.clone();
        context.health.check()?;
        let mut head = context.store.head();
        let joined_at = *head.borrow();
        let (watcher, buffered_from) = context.fanout.join(selector.clone(), wants_logs, joined_at);
        context.observer.watches(1);
        let by_ids = matches!(selector, Selector::Jobs(_));
        let remote_jobs = (wants_logs && by_ids)
            .then(|| RemoteJobs::new(context.history.ledger.clone(), context.registry.clone()));
        let mut watch = Watch {
            is_unreachable: context.health.subscribe(),
            context,
            selector,
            watcher,
            buffered_from,
            gap: None,
            catch_up: None,
            position: buffered_from,
            resumed: None,
            shown: HashMap::new(),
            open: HashSet::new(),
            settled: None,
            remote_jobs,
            out: VecDeque::new(),
        };
        // The server that sent the cursor may have been ahead of this one.
        if let Some(cursor) = cursor {
            let is_reached =
                |head: &Position| *head >= cursor.entry || head.epoch != cursor.entry.epoch;
            let _ = tokio::time::timeout(HEAD_WITHIN, head.wait_for(is_reached)).await;
        }
        let head = *head.borrow();
        match cursor {
            None => watch.snapshot().await?,
            Some(cursor) if cursor.entry.epoch != head.epoch || cursor.entry > head => {
                watch.restart(GapReason::Epoch).await?;
            }
            Some(cursor) => watch.resume(cursor).await?,
        }
        Ok(watch)
    }
}

impl Watch {
    /// Returns the next event, None at the end of a watch by ids. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, EngineError> {
        let keepalive_at = Instant::now() + KEEPALIVE;
        loop {
            if let Some(event) = self.out.pop_front() {
                return Ok(Some(event));
            }
            if let Some(reason) = self.gap {
                self.restart(reason).await?;
                continue;
            }
            if let Some(cursor) = self.catch_up {
                self.read_journal(cursor).await?;
                continue;
            }
            if self.drain().await? {
                continue;
            }
            if self.is_complete() {
                return Ok(None);
            }
            // The position also moves by changes of other jobs, which do not wake the watch.
            let is_settling = self.settled.is_some();
            let wait_until =
                if is_settling { Instant::now() + SETTLING_POLL } else { keepalive_at };
            let lines_at = self.remote_jobs.as_ref().and_then(RemoteJobs::next_read_at);
            let waited = tokio::select! {
                waited = tokio::time::timeout_at(wait_until, self.watcher.filled()) => waited,
                () = sleep_until_some(lines_at) => {
                    self.read_remote_lines().await;
                    continue;
                }
                () = until_unreachable(&mut self.is_unreachable) => {
                    self.context.health.check()?;
                    continue;
                }
            };
            if waited.is_err() && !is_settling {
                // Not the position of the buffer, whose changes were not sent yet.
                return Ok(Some(WatchEvent::Keepalive(self.sent_up_to())));
            }
        }
    }

    fn is_complete(&mut self) -> bool {
        if let Some((at, ids)) = &self.settled
            && self.position >= *at
        {
            for id in ids {
                self.open.remove(id);
            }
            self.settled = None;
        }
        matches!(self.selector, Selector::Jobs(_)) && self.open.is_empty()
    }

    /// Returns the cursor up to which everything was sent.
    fn sent_up_to(&self) -> Cursor {
        match self.resumed {
            Some(resumed) if resumed.entry >= self.position => resumed,
            _ => Cursor::after(self.position),
        }
    }

    /// Makes the next event a gap, followed by a new snapshot. It is recorded before anything is
    /// awaited, so that a `next` that is dropped loses neither.
    fn set_gap(&mut self, reason: GapReason) {
        self.gap = Some(reason);
        self.catch_up = None;
    }

    async fn restart(&mut self, reason: GapReason) -> Result<(), EngineError> {
        let at = self.out.len();
        self.snapshot().await?;
        self.gap = None;
        self.out.insert(at, WatchEvent::Gap(reason));
        self.context.observer.watch_gap();
        Ok(())
    }

    async fn resume(&mut self, cursor: Cursor) -> Result<(), EngineError> {
        self.catch_up = Some(cursor);
        self.resumed = Some(cursor);
        if let Selector::Jobs(ids) = self.selector.clone() {
            let jobs = self.context.reader.get_many(&ids).await?;
            let head = *self.context.store.head().borrow();
            // The change to the terminal state may still be on its way to this watch.
            let is_finished = |job: &Option<Arc<Job>>| {
                job.as_ref().is_none_or(|job| job.status.state.is_terminal())
            };
            let finished = ids.iter().zip(&jobs).filter(|(_, job)| is_finished(job));
            self.settled = Some((head, finished.map(|(id, _)| *id).collect()));
            self.open = ids.iter().copied().collect();
            let found: Vec<_> = jobs.into_iter().flatten().collect();
            self.skip_old_lines(&found).await;
        }
        Ok(())
    }

    /// Reads some entries from the cursor towards the buffer.
    async fn read_journal(&mut self, cursor: Cursor) -> Result<(), EngineError> {
        let mut after = cursor.entry;
        if cursor.events != usize::MAX {
            after.seq = after.seq.saturating_sub(1);
        }
        if after.seq >= self.buffered_from.seq {
            self.catch_up = None;
            return Ok(());
        }
        let entries = match self.context.store.read_journal(after, ENTRIES_MAX).await? {
            JournalPage::Entries(entries) => entries,
            JournalPage::Trimmed => {
                self.set_gap(GapReason::Trimmed);
                return Ok(());
            }
            JournalPage::OtherEpoch => {
                self.set_gap(GapReason::Epoch);
                return Ok(());
            }
        };
        let mut changes = Vec::new();
        for entry in &entries {
            if entry.position.seq > self.buffered_from.seq {
                break;
            }
            after = entry.position;
            let skip = if entry.position == cursor.entry { cursor.events } else { 0 };
            let selected = |index: &usize| self.watcher.may_select(&entry.jobs[*index]);
            let indexes = (skip..entry.jobs.len()).filter(selected);
            changes.extend(indexes.map(|index| JournalChange { entry: entry.clone(), index }));
        }
        let has_more = after.seq < self.buffered_from.seq && !entries.is_empty();
        self.catch_up = has_more.then(|| Cursor::after(after));
        self.push(changes).await
    }

    /// Takes the content of the buffer. Returns false when it was empty.
    async fn drain(&mut self) -> Result<bool, EngineError> {
        let Some(Buffered { changes, progress, logs, position }) = self.watcher.take() else {
            self.buffered_from = self.context.fanout.restart(&self.watcher);
            self.position = self.buffered_from;
            self.set_gap(GapReason::SlowReader);
            return Ok(true);
        };
        self.position = position;
        let is_empty = changes.is_empty() && progress.is_empty() && logs.is_empty();
        // Progress and lines of an attempt precede the change that ends it.
        for (id, (attempt, progress)) in progress {
            if let Some(shown) = self.shown.get_mut(&id) {
                shown.progress_seq = shown.progress_seq.max(progress.seq);
            }
            self.out.push_back(WatchEvent::Progress { id, attempt, progress });
        }
        self.out.extend(logs.into_iter().map(|(id, rows)| WatchEvent::Logs { id, rows }));
        let resumed = self.resumed;
        let is_new = |change: &JournalChange| resumed.is_none_or(|cursor| !cursor.covers(change));
        self.push(changes.into_iter().filter(is_new).collect()).await?;
        Ok(!is_empty)
    }

    /// Sends the changes that the reader does not have yet.
    async fn push(&mut self, changes: Vec<JournalChange>) -> Result<(), EngineError> {
        let jobs = self.selected_jobs(&changes).await?;
        for (change, job) in changes.iter().zip(jobs) {
            let Some(job) = job else { continue };
            let newer = ShownVersion::of(&job);
            if let Some(shown) = self.shown.get_mut(&job.id)
                && shown.version >= newer.version
            {
                // The worker's server stored the progress; it may be a peer.
                if shown.version == newer.version
                    && shown.progress_seq < newer.progress_seq
                    && let Some(progress) = &job.status.progress
                {
                    shown.progress_seq = newer.progress_seq;
                    let (id, attempt) = (job.id, job.status.attempt);
                    let progress = Progress::clone(progress);
                    self.out.push_back(WatchEvent::Progress { id, attempt, progress });
                }
                continue;
            }
            self.send_remote_lines(&job).await;
            if job.status.state == State::Running {
                self.shown.insert(job.id, newer);
            } else {
                // Events are in order: no event of this version or an older one follows.
                self.shown.remove(&job.id);
            }
            if job.status.state.is_terminal() {
                self.open.remove(&job.id);
            } else if matches!(self.selector, Selector::Jobs(_)) {
                self.open.insert(job.id);
            }
            let cursor = Cursor::after_event(&change.entry, change.index);
            self.out.push_back(WatchEvent::Change(job, cursor));
        }
        Ok(())
    }

    /// Sends the lines of an attempt before the change that ends it.
    async fn send_remote_lines(&mut self, job: &Job) {
        let Some(remote_jobs) = &mut self.remote_jobs else { return };
        if remote_jobs.contains(job.id) {
            let rows = remote_jobs.read_job(job.id).await;
            if !rows.is_empty() {
                self.out.push_back(WatchEvent::Logs { id: job.id, rows: rows.into() });
            }
        }
        remote_jobs.update(job, false);
    }

    /// Skips the lines from before the watch. ReadLogs returns them.
    pub(super) async fn skip_old_lines(&mut self, jobs: &[Arc<Job>]) {
        let Some(remote_jobs) = &mut self.remote_jobs else { return };
        for job in jobs {
            remote_jobs.update(job, true);
        }
        remote_jobs.read().await;
    }

    async fn read_remote_lines(&mut self) {
        let Some(remote_jobs) = &mut self.remote_jobs else { return };
        for (id, rows) in remote_jobs.read().await {
            self.out.push_back(WatchEvent::Logs { id, rows: rows.into() });
        }
    }

    /// Returns the jobs of changes, None for those that the watch does not select. Reads the specs
    /// that the journal does not hold.
    async fn selected_jobs(
        &self,
        changes: &[JournalChange],
    ) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        let events = changes.iter().map(JournalChange::event);
        let missing: Vec<JobId> = events.filter(|e| e.spec.is_none()).map(|e| e.id).collect();
        let mut specs = HashMap::new();
        if !missing.is_empty() {
            let found = self.context.reader.get_including_deleted(&missing).await?;
            specs.extend(found.into_iter().flatten().map(|job| (job.id, job.spec.clone())));
        }
        let job = |change: &JournalChange| {
            let event = change.event();
            let spec = event.spec.as_ref().or_else(|| specs.get(&event.id))?.clone();
            let job = Job { id: event.id, spec, status: event.status.clone() };
            let is_selected = match &self.selector {
                Selector::Jobs(_) => true,
                Selector::Filter(filter) => filter.matches(&job),
            };
            is_selected.then(|| Arc::new(job))
        };
        Ok(changes.iter().map(job).collect())
    }
}
