//! The write-ahead log beside a file of the journal, looked at before SQLite does.
//!
//! SQLite takes the first frame whose sum is wrong for the end of its log, and drops what
//! follows without a word. That is right for a write that a crash has torn, and wrong for a
//! log that was damaged later: what follows was acknowledged. A commit is written only after
//! the one before it was synced, so a crash tears no more than one.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::OpenError;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The last bit says that sums are made of big-endian words.
const MAGIC: u32 = 0x377f_0682;
const PAGE_SIZES: std::ops::RangeInclusive<usize> = 512..=65_536;
/// What files of the journal are made with, for a header that can not be read.
const PAGE: usize = 8_192;

/// The log of a file.
pub(super) fn path_of(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Refuses a log with more commits after its first wrong frame than a crash can leave.
pub(super) fn check(file: &Path) -> Result<(), OpenError> {
    let path = path_of(file);
    let log = match File::open(&path) {
        Ok(log) => BufReader::with_capacity(1 << 20, log),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(OpenError::io(&path, source)),
    };
    let (wrong, commits) = read(log).map_err(|source| OpenError::io(&path, source))?;
    if commits <= 1 {
        return Ok(());
    }
    let detail = format!("frame {wrong} is not what was written, and {commits} commits follow it");
    Err(OpenError::damaged(&path, detail))
}

/// The first wrong frame, and how many commits of this log there are from it on.
fn read(mut log: impl Read) -> std::io::Result<(usize, usize)> {
    let mut header = [0; HEADER];
    if fill(&mut log, &mut header)? < HEADER {
        return Ok((0, 0));
    }
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|n| header[at + n]));
    let mut sum = Sum { is_big: word(0) & 1 == 1, state: (0, 0) };
    sum.add(&header[..24]);
    let is_whole = word(0) & !1 == MAGIC && sum.state == (word(24), word(28));
    let page = usize::try_from(word(8)).ok().filter(|size| is_whole && PAGE_SIZES.contains(size));
    let mut frame = vec![0; FRAME_HEADER + page.unwrap_or(PAGE)];
    let mut salts = is_whole.then(|| header[16..24].to_vec());
    let (mut at, mut wrong, mut commits) = (0, None, 0);
    if !is_whole {
        wrong = Some(0);
    }
    // A frame that is cut off was never synced.
    while fill(&mut log, &mut frame)? == frame.len() {
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|n| frame[at + n]));
        let is_of_log = *salts.get_or_insert_with(|| frame[8..16].to_vec()) == frame[8..16];
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER..]);
        if wrong.is_none() && (!is_of_log || sum.state != (word(16), word(20))) {
            wrong = Some(at);
        }
        if wrong.is_some() && is_of_log && word(4) != 0 {
            commits += 1;
        }
        at += 1;
    }
    Ok((wrong.unwrap_or(at), commits))
}

/// As much as there is.
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

/// The sum of a log: each frame goes on from the one before.
struct Sum {
    is_big: bool,
    state: (u32, u32),
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| {
                let word = [0, 1, 2, 3].map(|n| pair[at + n]);
                if self.is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
            };
            let (first, second) = (word(0), word(4));
            self.state.0 = self.state.0.wrapping_add(first).wrapping_add(self.state.1);
            self.state.1 = self.state.1.wrapping_add(second).wrapping_add(self.state.0);
        }
    }
}
