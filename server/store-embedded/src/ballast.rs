//! Room that is given back when the disk is full, so that running jobs can still be reported.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use sentinel_domain::Millis;

/// Between two attempts to take the room again.
const RETRY_MS: Millis = 1_000;

/// A file that holds room.
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
    is_spent: bool,
    retry_at: Millis,
}

impl Ballast {
    /// Takes the room, if there is any.
    pub(crate) fn take(dir: &Path, bytes: u64) -> Self {
        let path = dir.join("ballast");
        let is_there = std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= bytes);
        let mut ballast = Self { path, bytes, is_spent: !is_there, retry_at: Millis::MIN };
        ballast.refill(0);
        ballast
    }

    /// The disk was full, and has been since.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Gives the room back. False if that was done before.
    pub(crate) fn spend(&mut self, now: Millis) -> bool {
        if self.is_spent {
            return false;
        }
        tracing::error!(path = %self.path.display(), "the disk is full: new jobs are refused");
        self.is_spent = true;
        self.retry_at = now + RETRY_MS;
        std::fs::remove_file(&self.path).is_ok()
    }

    /// Takes the room again, when there is twice as much.
    pub(crate) fn refill(&mut self, now: Millis) {
        if !self.is_spent || now < self.retry_at {
            return;
        }
        self.retry_at = now + RETRY_MS;
        match self.fill() {
            Ok(true) => self.is_spent = false,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "no room can be kept back");
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
        let file = File::create(&self.path)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?;
        Ok(true)
    }
}
