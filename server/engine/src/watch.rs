//! Watch: a snapshot, then every change, each version once, or a declared gap.
//!
//! Subscribe first, then read: what happens in between is offered too and told apart by
//! its version. A filter's snapshot is the ledger's; the journal carries the watch from
//! there to the present.

mod cursor;
mod elsewhere;
mod snapshot;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::limits::WATCH_JOBS;
use sentinel_domain::{Filter, Job, JobId, Progress, State};
use sentinel_ledger::{LogRow, QueueCount};
use sentinel_store::{JournalPage, Position};
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::cursor::Cursor;
use self::elsewhere::Elsewhere;
use crate::fanout::{Live, Taken, Watcher};
use crate::reach::until_cut_off;
use crate::{Engine, EngineError, list};

/// A sign of life when nothing else is sent.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How often a watch looks whether it can end.
const SETTLING: Duration = Duration::from_millis(20);

/// How far a server may be behind what another one has told a reader.
const HEAD_WITHIN: Duration = Duration::from_secs(3);

/// Entries of one step of catching up.
const ENTRIES_MAX: usize = 64;

/// What to watch.
#[derive(Clone, Debug)]
pub enum Selector {
    Jobs(Vec<JobId>),
    Filter(Filter),
}

/// Why something was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    Trimmed,
    SlowReader,
    Epoch,
}

/// What the selected jobs look like.
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

/// What was shown of a job.
#[derive(Clone, Copy)]
struct Known {
    version: u64,
    /// Of the progress; 0 where there was none.
    progress_seq: u64,
}

impl Known {
    fn of(job: &Job) -> Self {
        let progress_seq = job.status.progress.as_ref().map_or(0, |progress| progress.seq);
        Self { version: job.status.version, progress_seq }
    }
}

/// An open watch.
pub struct Watch {
    engine: Engine,
    selector: Selector,
    watcher: Arc<Watcher>,
    /// The ring holds what came after this.
    live_from: Position,
    gap: Option<GapReason>,
    /// The journal between here and `live_from` is still to be read.
    catch_up: Option<Cursor>,
    /// What was taken from the ring reaches up to here.
    seen: Position,
    /// The reader has everything up to here, though the ring may bring it again.
    resumed: Option<Cursor>,
    /// Versions that were shown and may come again: those of the snapshot, and those of
    /// RUNNING jobs, whose kept progress is an event without a version of its own.
    known: HashMap<JobId, Known>,
    /// Of a watch by ids: those whose final event was not sent yet.
    open: HashSet<JobId>,
    /// Final since before the watch resumed: done once everything up to the position was looked at.
    settled: Option<(Position, Vec<JobId>)>,
    /// Of a watch by ids that wants log lines.
    elsewhere: Option<Elsewhere>,
    cut_off: watch::Receiver<bool>,
    out: VecDeque<WatchEvent>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.engine.fanout.leave(&self.watcher);
        self.engine.observer.watches(-1);
    }
}

impl Engine {
    /// Opens a watch. Fails when none of the ids is known.
    pub async fn watch(
        &self,
        selector: Selector,
        cursor: Option<Cursor>,
        wants_logs: bool,
    ) -> Result<Watch, EngineError> {
        check(&selector)?;
        self.refuse_if_cut_off()?;
        let head = *self.store.head().borrow();
        let (watcher, live_from) = self.fanout.join(selector.clone(), wants_logs, head);
        self.observer.watches(1);
        let by_ids = matches!(selector, Selector::Jobs(_));
        let mut watch = Watch {
            engine: self.clone(),
            selector,
            watcher,
            live_from,
            gap: None,
            catch_up: None,
            seen: live_from,
            resumed: None,
            known: HashMap::new(),
            open: HashSet::new(),
            settled: None,
            elsewhere: (wants_logs && by_ids).then(Elsewhere::default),
            cut_off: self.cut_off(),
            out: VecDeque::new(),
        };
        // The server that sent the cursor may have been ahead of this one.
        let mut head = self.store.head();
        if let Some(cursor) = cursor {
            let is_there =
                |head: &Position| *head >= cursor.entry || head.epoch != cursor.entry.epoch;
            let _ = tokio::time::timeout(HEAD_WITHIN, head.wait_for(is_there)).await;
        }
        let head = *head.borrow();
        match cursor {
            None => watch.snapshot().await?,
            Some(cursor) if cursor.entry.epoch != head.epoch || cursor.entry > head => {
                watch.begin_anew(GapReason::Epoch).await?;
            }
            Some(cursor) => watch.resume(cursor).await?,
        }
        Ok(watch)
    }
}

fn check(selector: &Selector) -> Result<(), EngineError> {
    match selector {
        Selector::Jobs(ids) if ids.is_empty() || ids.len() as u64 > WATCH_JOBS => {
            let description = format!("{} ids is out of range: 1..={WATCH_JOBS}", ids.len());
            Err(EngineError::invalid("jobs.ids", description))
        }
        Selector::Jobs(_) => Ok(()),
        Selector::Filter(filter) => {
            let is_over_time = filter.created_after.is_some() || filter.created_before.is_some();
            if is_over_time || !filter.states.is_empty() {
                let description = "times and states are not allowed in a watch";
                return Err(EngineError::invalid("filter", description));
            }
            list::check(filter)
        }
    }
}

impl Watch {
    /// The next event; none at the end of a watch by ids.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, EngineError> {
        let keepalive_at = Instant::now() + KEEPALIVE;
        loop {
            if let Some(event) = self.out.pop_front() {
                return Ok(Some(event));
            }
            if let Some(reason) = self.gap {
                self.begin_anew(reason).await?;
                continue;
            }
            if let Some(cursor) = self.catch_up {
                self.read_journal(cursor).await?;
                continue;
            }
            if self.drain().await? {
                continue;
            }
            if self.is_over() {
                return Ok(None);
            }
            // Nothing wakes a watch when what it waits to be looked at concerns others.
            let is_settling = self.settled.is_some();
            let wait_until = if is_settling { Instant::now() + SETTLING } else { keepalive_at };
            let lines_at = self.elsewhere.as_ref().and_then(Elsewhere::due);
            let waited = tokio::select! {
                waited = tokio::time::timeout_at(wait_until, self.watcher.filled()) => waited,
                () = until(lines_at) => {
                    self.read_lines().await;
                    continue;
                }
                () = until_cut_off(&mut self.cut_off) => {
                    self.engine.refuse_if_cut_off()?;
                    continue;
                }
            };
            if waited.is_err() && !is_settling {
                // Not what the ring has seen since: that was not sent yet.
                return Ok(Some(WatchEvent::Keepalive(self.progressed_to())));
            }
        }
    }

    fn is_over(&mut self) -> bool {
        if let Some((at, ids)) = &self.settled
            && self.seen >= *at
        {
            for id in ids {
                self.open.remove(id);
            }
            self.settled = None;
        }
        matches!(self.selector, Selector::Jobs(_)) && self.open.is_empty()
    }

    /// Everything up to here was sent.
    fn progressed_to(&self) -> Cursor {
        match self.resumed {
            Some(resumed) if resumed.entry >= self.seen => resumed,
            _ => Cursor::after(self.seen),
        }
    }

    /// The next event is a gap with a new snapshot behind it. Noted before anything is
    /// waited for, so that a `next` that is dropped in between loses neither.
    fn gap(&mut self, reason: GapReason) {
        self.gap = Some(reason);
        self.catch_up = None;
    }

    async fn begin_anew(&mut self, reason: GapReason) -> Result<(), EngineError> {
        let at = self.out.len();
        self.snapshot().await?;
        self.gap = None;
        self.out.insert(at, WatchEvent::Gap(reason));
        self.engine.observer.watch_gap();
        Ok(())
    }

    async fn resume(&mut self, cursor: Cursor) -> Result<(), EngineError> {
        self.catch_up = Some(cursor);
        self.resumed = Some(cursor);
        if let Selector::Jobs(ids) = self.selector.clone() {
            let jobs = self.engine.get_many(&ids).await?;
            let head = *self.engine.store.head().borrow();
            // The end of one that is final or gone may still be on its way here.
            let is_over = |job: &Option<Arc<Job>>| {
                job.as_ref().is_none_or(|job| job.status.state.is_terminal())
            };
            let over = ids.iter().zip(&jobs).filter(|(_, job)| is_over(job)).map(|(id, _)| *id);
            self.settled = Some((head, over.collect()));
            self.open = ids.iter().copied().collect();
            let known: Vec<_> = jobs.into_iter().flatten().collect();
            self.pass_over_lines(&known).await;
        }
        Ok(())
    }

    /// One step from the cursor towards the ring.
    async fn read_journal(&mut self, cursor: Cursor) -> Result<(), EngineError> {
        let mut after = cursor.entry;
        if cursor.events != usize::MAX {
            after.seq = after.seq.saturating_sub(1);
        }
        if after.seq >= self.live_from.seq {
            self.catch_up = None;
            return Ok(());
        }
        let entries = match self.engine.store.tail(after, ENTRIES_MAX).await? {
            JournalPage::Entries(entries) => entries,
            JournalPage::Trimmed => {
                self.gap(GapReason::Trimmed);
                return Ok(());
            }
            JournalPage::OtherEpoch => {
                self.gap(GapReason::Epoch);
                return Ok(());
            }
        };
        let mut lives = Vec::new();
        for entry in &entries {
            if entry.position.seq > self.live_from.seq {
                break;
            }
            after = entry.position;
            let skip = if entry.position == cursor.entry { cursor.events } else { 0 };
            let wanted = |index: &usize| self.watcher.wants(&entry.jobs[*index]);
            let indexes = (skip..entry.jobs.len()).filter(wanted);
            lives.extend(indexes.map(|index| Live { entry: entry.clone(), index }));
        }
        self.catch_up =
            (after.seq < self.live_from.seq && !entries.is_empty()).then(|| Cursor::after(after));
        self.push(lives).await
    }

    /// Takes what the ring holds; false when it was empty.
    async fn drain(&mut self) -> Result<bool, EngineError> {
        let Some(Taken { changes, progress, logs, seen }) = self.watcher.take() else {
            self.live_from = self.engine.fanout.rejoin(&self.watcher);
            self.seen = self.live_from;
            self.gap(GapReason::SlowReader);
            return Ok(true);
        };
        self.seen = seen;
        let is_empty = changes.is_empty() && progress.is_empty() && logs.is_empty();
        // Progress and lines of an attempt come before the change that ends it.
        for (id, (attempt, progress)) in progress {
            if let Some(known) = self.known.get_mut(&id) {
                known.progress_seq = known.progress_seq.max(progress.seq);
            }
            self.out.push_back(WatchEvent::Progress { id, attempt, progress });
        }
        self.out.extend(logs.into_iter().map(|(id, rows)| WatchEvent::Logs { id, rows }));
        let resumed = self.resumed;
        let is_new = |live: &Live| resumed.is_none_or(|cursor| !cursor.covers(live));
        self.push(changes.into_iter().filter(is_new).collect()).await?;
        Ok(!is_empty)
    }

    /// Sends changes that were not known yet.
    async fn push(&mut self, lives: Vec<Live>) -> Result<(), EngineError> {
        let jobs = self.jobs(&lives).await?;
        for (live, job) in lives.iter().zip(jobs) {
            let Some(job) = job else { continue };
            let shown = Known::of(&job);
            if let Some(known) = self.known.get_mut(&job.id)
                && known.version >= shown.version
            {
                // Kept by another server, which alone hears its worker.
                if known.version == shown.version
                    && known.progress_seq < shown.progress_seq
                    && let Some(progress) = &job.status.progress
                {
                    known.progress_seq = shown.progress_seq;
                    let (id, attempt) = (job.id, job.status.attempt);
                    let progress = Progress::clone(progress);
                    self.out.push_back(WatchEvent::Progress { id, attempt, progress });
                }
                continue;
            }
            self.note_lines(&job).await;
            if job.status.state == State::Running {
                self.known.insert(job.id, shown);
            } else {
                // Events come in order: none of this version or one before is left.
                self.known.remove(&job.id);
            }
            if job.status.state.is_terminal() {
                self.open.remove(&job.id);
            } else if matches!(self.selector, Selector::Jobs(_)) {
                self.open.insert(job.id);
            }
            self.out
                .push_back(WatchEvent::Change(job, Cursor::after_event(&live.entry, live.index)));
        }
        Ok(())
    }

    /// Lines of an attempt come before the change that ends it.
    async fn note_lines(&mut self, job: &Job) {
        let Some(elsewhere) = &mut self.elsewhere else { return };
        if elsewhere.has(job.id) {
            let rows = elsewhere.read_job(&self.engine, job.id).await;
            if !rows.is_empty() {
                self.out.push_back(WatchEvent::Logs { id: job.id, rows: rows.into() });
            }
        }
        elsewhere.note(&self.engine, job, false);
    }

    /// Lines from before the watch are for ReadLogs.
    async fn pass_over_lines(&mut self, jobs: &[Arc<Job>]) {
        let Some(elsewhere) = &mut self.elsewhere else { return };
        for job in jobs {
            elsewhere.note(&self.engine, job, true);
        }
        elsewhere.read(&self.engine).await;
    }

    async fn read_lines(&mut self) {
        let Some(elsewhere) = &mut self.elsewhere else { return };
        for (id, rows) in elsewhere.read(&self.engine).await {
            self.out.push_back(WatchEvent::Logs { id, rows: rows.into() });
        }
    }

    /// The jobs of events; specs that the journal does not hold are looked up.
    async fn jobs(&self, lives: &[Live]) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        let lacking: Vec<JobId> =
            lives.iter().map(Live::event).filter(|e| e.spec.is_none()).map(|e| e.id).collect();
        let mut specs = HashMap::new();
        if !lacking.is_empty() {
            for job in self.engine.remains(&lacking).await?.into_iter().flatten() {
                specs.insert(job.id, job.spec.clone());
            }
        }
        let job = |live: &Live| {
            let event = live.event();
            let spec = event.spec.as_ref().or_else(|| specs.get(&event.id))?.clone();
            let job = Job { id: event.id, spec, status: event.status.clone() };
            let is_wanted = match &self.selector {
                Selector::Jobs(_) => true,
                Selector::Filter(filter) => filter.matches(&job),
            };
            is_wanted.then(|| Arc::new(job))
        };
        Ok(lives.iter().map(job).collect())
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
