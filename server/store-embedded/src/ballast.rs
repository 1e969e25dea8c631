//! Disk space that is released when the disk is full, so that running jobs can still be reported.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use sentinel_domain::Millis;

/// The time between two attempts to refill the ballast, in milliseconds.
const RETRY_MS: Millis = 1_000;

/// A file that reserves disk space.
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
    is_spent: bool,
    retry_at: Millis,
}

impl Ballast {
    /// Reserves the space, if it is available.
    pub(crate) fn reserve(dir: &Path, bytes: u64) -> Self {
        let path = dir.join("ballast");
        let exists = std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= bytes);
        let mut ballast = Self { path, bytes, is_spent: !exists, retry_at: Millis::MIN };
        ballast.refill(0);
        ballast
    }

    /// Returns whether the space was released and is not reserved again.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Releases the space. Returns false if it was already released.
    pub(crate) fn spend(&mut self, now: Millis) -> bool {
        if self.is_spent {
            return false;
        }
        tracing::error!(path = %self.path.display(), "disk full, refusing new jobs");
        self.is_spent = true;
        self.retry_at = now + RETRY_MS;
        std::fs::remove_file(&self.path).is_ok()
    }

    /// Reserves the space again if twice as much is available.
    pub(crate) fn refill(&mut self, now: Millis) {
        if !self.is_spent || now < self.retry_at {
            return;
        }
        self.retry_at = now + RETRY_MS;
        match self.fill() {
            Ok(true) => self.is_spent = false,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "failed to reserve disk space");
                let _ = std::fs::remove_file(&self.path);
            }
        }
    }

    fn fill(&self) -> std::io::Result<bool> {
        if self.bytes == 0 {
            return Ok(true);
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let disk = rustix::fs::statvfs(dir)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < self.bytes.saturating_mul(2) {
            return Ok(false);
        }
        // Removed first, because the file may be a link to another one.
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = File::create_new(&self.path)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?;
        Ok(true)
    }
}
