//! A small disk of its own for the data of the server, which can be filled. Only root may
//! mount one; elsewhere the fault is left out, and the dose says so.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The ballast of the server, twice that to take it again, and what a dose writes.
const SIZE: &str = "size=768m";

const BLOCK_BYTES: usize = 1 << 20;

/// Mounted until it is dropped.
pub(super) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// A disk at a directory, which is created. None when it can not be mounted.
    pub(super) fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("create a directory");
        let disk = Self { at: at.to_owned() };
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at);
        let done = mount.stdin(Stdio::null()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success()).then_some(disk)
    }

    /// Takes all room that is left.
    pub(super) fn fill(&self) {
        let mut file = File::create(self.filler()).expect("create a file");
        for block in [vec![0; BLOCK_BYTES], vec![0; 512]] {
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Gives it back.
    pub(super) fn free(&self) {
        std::fs::remove_file(self.filler()).expect("remove a file");
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failed test may have left a process behind that still holds a file.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).stderr(Stdio::null()).status();
    }
}
