//! The ids of jobs, sessions and workers.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::Millis;

/// A 128-bit number as two halves. A `u128` is aligned to 16 bytes, which would pad every index
/// entry and lease that contains one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Bits {
    high: u64,
    low: u64,
}

impl Bits {
    const fn new(bits: u128) -> Self {
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }

    const fn get(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }
}

/// The highest shard number. A UUID of version 7 has 12 bits for it.
pub const MAX_SHARD: u16 = 0x0fff;

/// The id of a job: a UUID of version 7 whose 12-bit `rand_a` field is the shard of the job.
///
/// Ids sort by the time of the enqueue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Bits);

impl JobId {
    /// Returns a new id. The upper 62 bits of `random` are used, and the lower 12 bits of `shard`.
    pub fn new(at: Millis, shard: u16, random: u64) -> Self {
        let time = (at.max(0) as u128 & 0xffff_ffff_ffff) << 80;
        let version = 0x7_u128 << 76;
        let shard = u128::from(shard & MAX_SHARD) << 64;
        let variant = 0b10_u128 << 62;
        Self::from_u128(time | version | shard | variant | u128::from(random >> 2))
    }

    /// Returns the id with these bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(Bits::new(bits))
    }

    /// Returns the bits of the id.
    pub const fn as_u128(self) -> u128 {
        self.0.get()
    }

    /// Returns the time of the enqueue, by the clock of the server that created the id.
    pub const fn created_at(self) -> Millis {
        (self.0.get() >> 80) as Millis
    }

    /// Returns the shard of the job.
    pub const fn shard(self) -> u16 {
        self.0.high as u16 & MAX_SHARD
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0.get()).hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(|id| Self::from_u128(id.as_u128()))
    }
}

/// The id of a worker session: 128 random bits, so that no other worker can guess it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Bits);

impl SessionId {
    /// Returns the id with these bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(Bits::new(bits))
    }

    /// Returns the bits of the id.
    pub const fn as_u128(self) -> u128 {
        self.0.get()
    }
}

/// The public id of a worker session. It is a one-way function of the [`SessionId`], so it may be
/// shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(Bits);

impl WorkerId {
    /// Returns the id with these bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(Bits::new(bits))
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0.get()).hyphenated().fmt(f)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for WorkerId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(|id| Self::from_u128(id.as_u128()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0.get()).hyphenated().fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(|id| Self::from_u128(id.as_u128()))
    }
}
