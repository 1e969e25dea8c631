//! A small disk that a test can fill. Only root may mount one.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BLOCK_BYTES: usize = 1 << 20;

/// A tmpfs of a limited size. Unmounted when dropped.
pub struct Disk {
    mount_point: PathBuf,
}

impl Disk {
    /// Creates a directory and mounts a disk there; `None` without the right to mount.
    ///
    /// # Panics
    /// The directory can not be created.
    pub fn mount(mount_point: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(mount_point).expect("create a directory");
        let size = format!("size={megabytes}m");
        let options = ["-t", "tmpfs", "-o", &size, "tmpfs"].map(OsStr::new);
        let disk = Self { mount_point: mount_point.to_owned() };
        mount(&options, mount_point).then_some(disk)
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Changes the size.
    ///
    /// # Panics
    /// The disk holds more than the new size.
    pub fn resize(&self, megabytes: u32) {
        let option = format!("remount,size={megabytes}m");
        assert!(mount(&["-o", &option].map(OsStr::new), &self.mount_point), "resized");
    }

    /// Makes the disk read-only.
    ///
    /// # Panics
    /// A file is open for writing.
    pub fn forbid_writes(&self) {
        assert!(mount(&["-o", "remount,ro"].map(OsStr::new), &self.mount_point), "remounted");
    }

    /// Fills the disk up to `leave_bytes`.
    ///
    /// # Panics
    /// Less than that is free.
    pub fn fill(&self, leave_bytes: u64) {
        let mut file = File::create(self.filler()).expect("create a file");
        for block in [vec![0; BLOCK_BYTES], vec![0; 512]] {
            while file.write_all(&block).is_ok() {}
        }
        let taken = file.metadata().expect("a file").len();
        let kept = taken.checked_sub(leave_bytes).expect("room to leave");
        file.set_len(kept).expect("shorten a file");
    }

    /// Frees the space that [`Disk::fill`] took.
    ///
    /// # Panics
    /// The disk was not filled.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("remove a file");
    }

    fn filler(&self) -> PathBuf {
        self.mount_point.join("filler")
    }
}

fn mount(options: &[&OsStr], mount_point: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(options).arg(mount_point).stdin(Stdio::null()).stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process of a failed test may still have a file open.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.mount_point)
            .stderr(Stdio::null())
            .status();
    }
}
