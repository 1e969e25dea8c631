//! The lock of a data directory. Two processes that write one journal would lose jobs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};

use crate::OpenError;

/// The exclusive lock of a data directory. It is released when it is dropped or the process ends.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    file: File,
}

impl DirLock {
    /// Acquires the lock and creates the directory if it is missing.
    ///
    /// # Errors
    ///
    /// Fails at once if another process, or another part of this one, holds the lock.
    pub fn acquire(dir: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir).map_err(|source| OpenError::io(&dir, source))?;
        let path = dir.join("lock");
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|source| OpenError::io(&path, source))?;
        check_not_linked(&file).map_err(|source| OpenError::io(&path, source))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // The process id is only for error messages, so a full disk does not matter.
                let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                Ok(Self { dir, file })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                Err(OpenError::Locked { dir, holder: text.trim().parse().ok() })
            }
            Err(errno) => Err(OpenError::io(&path, errno.into())),
        }
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Refuses a file that has a second name: it is overwritten, and the other name may be a file of
/// somebody else. A symbolic link was not followed.
fn check_not_linked(file: &File) -> std::io::Result<()> {
    let links = file.metadata()?.nlink();
    if links > 1 {
        let text = format!("the file has {links} hard links: remove it");
        return Err(std::io::Error::other(text));
    }
    Ok(())
}

impl Drop for DirLock {
    /// Closing the file is not enough: a child process that is being started has it open too.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}
