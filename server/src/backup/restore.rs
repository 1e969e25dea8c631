//! Restoring a backup: copy and compare, begin a new epoch, take back what was running.
//!
//! The time between the backup and the restore is lost, and workers may still hold leases
//! from it. They must not count any more, so no lease, no cursor and no lease number of the
//! old epoch is one of the new.

use std::path::Path;
use std::sync::Arc;

use sentinel_domain::{Job, Millis, decide, on_restore};
use sentinel_ledger::begin_ledger_epoch;
use sentinel_store::{CommitRequest, Mutation, Precondition, ServerId, Store, Transaction};
use sentinel_store_embedded::{DirLock, OpenOptions, begin_epoch};

use super::manifest::sum;
use super::take::is_empty;
use super::{BackupError, LEDGER, LOCK, Manifest, RESTORING, sync, sync_tree};
use crate::assembly::open_stores;

/// Running jobs that are taken back in one commit.
const STEP: usize = 500;

/// What a restore did.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) manifest: Manifest,
    /// Jobs that were running when the backup was taken.
    pub(crate) revoked: u64,
}

/// Restores a backup into a data directory that is empty or not there.
pub(crate) async fn restore(
    source: &Path,
    data: &Path,
    now: Millis,
) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(source)?;
    let only_lock = |dir: &Path| -> Result<bool, BackupError> {
        let failed = |source| BackupError::io(dir, source);
        let mut entries = std::fs::read_dir(dir).map_err(failed)?;
        Ok(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK)))
    };
    if !is_empty(data)? && !only_lock(data)? {
        super::refuse_to_serve(data)?;
        return Err(BackupError::NotEmpty { dir: data.to_owned() });
    }
    let _lock = DirLock::acquire(data)?;
    let restoring = data.join(RESTORING);
    copy(&manifest, source, &restoring)?;
    let epoch = begin_epoch(&restoring, now)?;
    begin_ledger_epoch(&restoring.join(LEDGER), epoch)?;
    let revoked = take_back(&restoring, now).await?;
    settle(&restoring, data)?;
    Ok(Restored { manifest, revoked })
}

fn copy(manifest: &Manifest, source: &Path, restoring: &Path) -> Result<(), BackupError> {
    for file in &manifest.files {
        let (from, to) = (source.join(&file.path), restoring.join(&file.path));
        let parent = to.parent().unwrap_or(restoring);
        std::fs::create_dir_all(parent).map_err(|source| BackupError::io(parent, source))?;
        std::fs::copy(&from, &to).map_err(|source| BackupError::io(&from, source))?;
        let (bytes, xxh3) = sum(&to)?;
        let detail = if bytes != file.bytes {
            format!("it has {bytes} bytes, not {}", file.bytes)
        } else if xxh3 != file.xxh3 {
            format!("its sum is {xxh3}, not {}", file.xxh3)
        } else {
            continue;
        };
        return Err(BackupError::Altered { path: from, detail });
    }
    Ok(())
}

/// Ends the attempts that were running, as [`on_restore`] says.
async fn take_back(restoring: &Path, now: Millis) -> Result<u64, BackupError> {
    let lock = Arc::new(DirLock::acquire(restoring)?);
    let options =
        OpenOptions { sessions_expire_at: now, ballast_bytes: 0, ..OpenOptions::new(lock, now) };
    let (store, _ledger) = open_stores(options).await?;
    let mut revoked = 0;
    for number in 1.. {
        let lost = store.due_work(now, STEP).await?.lost;
        let groups: Vec<Transaction> = lost.iter().filter_map(|job| revocation(job, now)).collect();
        if groups.is_empty() {
            break;
        }
        revoked += groups.len() as u64;
        store
            .commit(CommitRequest {
                writer: ServerId(0),
                number,
                now,
                groups,
                promote: 0,
                claims: Vec::new(),
            })
            .await?;
    }
    Ok(revoked)
}

fn revocation(job: &Arc<Job>, now: Millis) -> Option<Transaction> {
    let command = on_restore(job)?;
    // A clock that was set back since the job changed last does not count.
    let decision = decide(job, &command, now.max(job.status.updated_at)).ok()?;
    Some(Transaction {
        request: None,
        guards: vec![Precondition::JobVersion { id: job.id, version: job.status.version }],
        changes: vec![Mutation::Update { job: Arc::new(decision.job), end: decision.end }],
    })
}

/// Moves everything to its place, the ledger last. A server refuses to start before the end.
fn settle(restoring: &Path, data: &Path) -> Result<(), BackupError> {
    let lock = restoring.join(LOCK);
    std::fs::remove_file(&lock).map_err(|source| BackupError::io(&lock, source))?;
    sync_tree(restoring)?;
    let failed = |source| BackupError::io(restoring, source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(restoring).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort_by_key(|name| name == LEDGER);
    for name in names {
        let from = restoring.join(&name);
        std::fs::rename(&from, data.join(&name))
            .map_err(|source| BackupError::io(&from, source))?;
    }
    sync(data)?;
    std::fs::remove_dir(restoring).map_err(failed)?;
    sync(data)
}
