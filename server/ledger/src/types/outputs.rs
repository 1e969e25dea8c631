//! Streamed output of attempts.

use sentinel_domain::JobId;

/// The position at which a chunk of output is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputPosition {
    pub job: JobId,
    pub run: u32,
    pub attempt: u32,
    /// The lease epoch, which distinguishes the leases of one attempt.
    pub epoch: u64,
    /// The number of bytes of the lease before the chunk.
    pub offset: u64,
}

/// A selection of a job's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputQuery {
    pub job: JobId,
    pub run: u32,
    pub attempt: u32,
    /// Only output after this [`OutputChunk::cursor`].
    pub after: Option<(u64, u64)>,
    /// The number of bytes to skip if `after` is `None`.
    pub offset: u64,
}

/// A chunk of an attempt's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// The value of [`OutputQuery::after`] for the next read: the lease epoch and the number of
    /// the chunk.
    pub cursor: (u64, u64),
    /// The number of bytes of the lease before `data`.
    pub offset: u64,
    pub data: Vec<u8>,
}
