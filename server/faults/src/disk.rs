//! A small disk that can be filled. Only root may mount one; elsewhere a test says that it left
//! this out.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BLOCK_BYTES: usize = 1 << 20;

/// Mounted until it is dropped.
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// A disk at a directory, which is created. None when it can not be mounted.
    ///
    /// # Panics
    /// The directory can not be created.
    pub fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).expect("create a directory");
        let size = format!("size={megabytes}m");
        let options = ["-t", "tmpfs", "-o", &size, "tmpfs"].map(OsStr::new);
        let disk = Self { at: at.to_owned() };
        mount(&options, at).then_some(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// It holds more than that.
    pub fn resize(&self, megabytes: u32) {
        let option = format!("remount,size={megabytes}m");
        assert!(mount(&["-o", &option].map(OsStr::new), &self.at), "resized");
    }

    /// Nothing can be written from now on.
    ///
    /// # Panics
    /// A file is open for writing.
    pub fn forbid_writes(&self) {
        assert!(mount(&["-o", "remount,ro"].map(OsStr::new), &self.at), "remounted");
    }

    /// Takes all room but `leave_bytes`.
    ///
    /// # Panics
    /// There is less than that.
    pub fn fill(&self, leave_bytes: u64) {
        let mut file = File::create(self.filler()).expect("create a file");
        for block in [vec![0; BLOCK_BYTES], vec![0; 512]] {
            while file.write_all(&block).is_ok() {}
        }
        let taken = file.metadata().expect("a file").len();
        let kept = taken.checked_sub(leave_bytes).expect("room to leave");
        file.set_len(kept).expect("shorten a file");
    }

    /// Gives back what [`Disk::fill`] took.
    ///
    /// # Panics
    /// It was not filled.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("remove a file");
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

fn mount(options: &[&OsStr], at: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(options).arg(at).stdin(Stdio::null()).stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failed test may have left a process behind that still holds a file.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).stderr(Stdio::null()).status();
    }
}
