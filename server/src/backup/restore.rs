//! Restores a backup: copies and verifies the files, starts a new epoch, and revokes the attempts
//! that were running.
//!
//! Changes between the backup and the restore are lost, and workers may still hold leases that
//! were granted in between. The new epoch makes their leases, lease epochs and watch cursors
//! invalid.

use std::path::Path;
use std::sync::Arc;

use sentinel_domain::{Job, Millis, decide, restore_command};
use sentinel_ledger::begin_ledger_epoch;
use sentinel_store::{CommitRequest, Mutation, Precondition, ServerId, Store, Transaction};
use sentinel_store_embedded::{DirLock, OpenOptions, begin_epoch};

use super::error::BackupError;
use super::files::{RESTORING, check_servable, is_empty, sync, sync_tree};
use super::manifest::{Manifest, checksum};
use crate::data_dir::{self, LEDGER, LOCK};

/// Running jobs that are revoked in one commit.
const BATCH: usize = 500;

/// The result of a restore.
#[derive(Debug)]
pub(crate) struct RestoreReport {
    pub(crate) manifest: Manifest,
    /// Jobs that were running at the backup.
    pub(crate) revoked_jobs: u64,
}

/// Restores a backup into a data directory that is empty or absent.
pub(crate) async fn restore(
    source: &Path,
    data: &Path,
    now: Millis,
) -> Result<RestoreReport, BackupError> {
    let manifest = Manifest::read(source)?;
    let has_only_lock = |dir: &Path| -> Result<bool, BackupError> {
        let failed = |source| BackupError::io(dir, source);
        let mut entries = std::fs::read_dir(dir).map_err(failed)?;
        Ok(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK)))
    };
    if !is_empty(data)? && !has_only_lock(data)? {
        check_servable(data)?;
        return Err(BackupError::NotEmpty { dir: data.to_owned() });
    }
    let _lock = DirLock::acquire(data)?;
    let restoring = data.join(RESTORING);
    copy(&manifest, source, &restoring)?;
    let epoch = begin_epoch(&restoring, now)?;
    begin_ledger_epoch(&restoring.join(LEDGER), epoch)?;
    let revoked_jobs = revoke_running_jobs(&restoring, now).await?;
    move_into_place(&restoring, data)?;
    Ok(RestoreReport { manifest, revoked_jobs })
}

/// Copies the files of the manifest and compares their lengths and checksums.
fn copy(manifest: &Manifest, source: &Path, restoring: &Path) -> Result<(), BackupError> {
    for file in &manifest.files {
        let (from, to) = (source.join(&file.path), restoring.join(&file.path));
        let parent = to.parent().unwrap_or(restoring);
        std::fs::create_dir_all(parent).map_err(|source| BackupError::io(parent, source))?;
        std::fs::copy(&from, &to).map_err(|source| BackupError::io(&from, source))?;
        let (bytes, xxh3) = checksum(&to)?;
        let detail = if bytes != file.bytes {
            format!("it has {bytes} bytes, not {}", file.bytes)
        } else if xxh3 != file.xxh3 {
            format!("its checksum is {xxh3}, not {}", file.xxh3)
        } else {
            continue;
        };
        return Err(BackupError::Damaged { path: from, detail });
    }
    Ok(())
}

/// Finishes the attempts that were running at the backup. Returns how many there were.
async fn revoke_running_jobs(restoring: &Path, now: Millis) -> Result<u64, BackupError> {
    let lock = Arc::new(DirLock::acquire(restoring)?);
    let options =
        OpenOptions { sessions_expire_at: now, ballast_bytes: 0, ..OpenOptions::new(lock, now) };
    let (store, _ledger) = data_dir::open(options).await?;
    let mut revoked = 0;
    for number in 1.. {
        let lost = store.due_work(now, BATCH).await?.lost;
        let transactions: Vec<Transaction> =
            lost.iter().filter_map(|job| revocation(job, now)).collect();
        if transactions.is_empty() {
            break;
        }
        revoked += transactions.len() as u64;
        store
            .commit(CommitRequest {
                writer: ServerId(0),
                number,
                now,
                transactions,
                promote_limit: 0,
                claims: Vec::new(),
            })
            .await?;
    }
    Ok(revoked)
}

fn revocation(job: &Arc<Job>, now: Millis) -> Option<Transaction> {
    let command = restore_command(job)?;
    // The clock may have been set back since the last change of the job.
    let decision = decide(job, &command, now.max(job.status.updated_at)).ok()?;
    Some(Transaction {
        idempotency: None,
        preconditions: vec![Precondition::JobVersion { id: job.id, version: job.status.version }],
        mutations: vec![Mutation::Update {
            job: Arc::new(decision.job),
            attempt_end: decision.attempt_end,
        }],
    })
}

/// Moves all files to the data directory, the ledger last. A server refuses to start until the
/// `restoring` directory is removed.
fn move_into_place(restoring: &Path, data: &Path) -> Result<(), BackupError> {
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
