//! Checks the write-ahead log of a journal file before SQLite opens it.
//!
//! SQLite treats the first frame with a wrong checksum as the end of the log and silently drops the
//! rest. That is right for a torn write of a crash. It is invalid for a log that was damaged later,
//! because the following commits were acknowledged. Each commit is synced before the next one is
//! written, so a crash tears at most one commit.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::OpenError;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The lowest bit is set if checksums use big-endian words.
const MAGIC: u32 = 0x377f_0682;
const PAGE_SIZES: std::ops::RangeInclusive<usize> = 512..=65_536;
/// The page size of journal files, in case the header can not be read.
const DEFAULT_PAGE_SIZE: usize = 8_192;

/// Returns the path of the write-ahead log of a file.
pub(super) fn path_of(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Refuses a log with more than one commit from its first invalid frame on, which no crash can
/// cause.
pub(super) fn check(file: &Path) -> Result<(), OpenError> {
    let path = path_of(file);
    let log = match File::open(&path) {
        Ok(log) => BufReader::with_capacity(1 << 20, log),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(OpenError::io(&path, source)),
    };
    let (invalid, commits) = read(log).map_err(|source| OpenError::io(&path, source))?;
    if commits <= 1 {
        return Ok(());
    }
    let detail = format!("frame {invalid} has a wrong checksum, and {commits} commits follow it");
    Err(OpenError::damaged(&path, detail))
}

/// Returns the index of the first invalid frame, and the number of commit frames from that index.
fn read(mut log: impl Read) -> std::io::Result<(usize, usize)> {
    let mut header = [0; HEADER];
    if fill(&mut log, &mut header)? < HEADER {
        return Ok((0, 0));
    }
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|n| header[at + n]));
    let mut checksum = Checksum { is_big_endian: word(0) & 1 == 1, state: (0, 0) };
    checksum.add(&header[..24]);
    let is_whole = word(0) & !1 == MAGIC && checksum.state == (word(24), word(28));
    let page = usize::try_from(word(8)).ok().filter(|size| is_whole && PAGE_SIZES.contains(size));
    let mut frame = vec![0; FRAME_HEADER + page.unwrap_or(DEFAULT_PAGE_SIZE)];
    let mut salts = is_whole.then(|| header[16..24].to_vec());
    let (mut at, mut invalid, mut commits) = (0, None, 0);
    if !is_whole {
        invalid = Some(0);
    }
    // A truncated frame was never synced.
    while fill(&mut log, &mut frame)? == frame.len() {
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|n| frame[at + n]));
        let is_salt_of_log = *salts.get_or_insert_with(|| frame[8..16].to_vec()) == frame[8..16];
        checksum.add(&frame[..8]);
        checksum.add(&frame[FRAME_HEADER..]);
        if invalid.is_none() && (!is_salt_of_log || checksum.state != (word(16), word(20))) {
            invalid = Some(at);
        }
        if invalid.is_some() && is_salt_of_log && word(4) != 0 {
            commits += 1;
        }
        at += 1;
    }
    Ok((invalid.unwrap_or(at), commits))
}

/// Fills the buffer as far as there is data, and returns the number of bytes.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// The running checksum of a log.
struct Checksum {
    is_big_endian: bool,
    state: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| {
                let word = [0, 1, 2, 3].map(|n| pair[at + n]);
                if self.is_big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
            };
            let (first, second) = (word(0), word(4));
            self.state.0 = self.state.0.wrapping_add(first).wrapping_add(self.state.1);
            self.state.1 = self.state.1.wrapping_add(second).wrapping_add(self.state.0);
        }
    }
}
