//! Between `std::time` and the wire's Timestamp and Duration. Values that the wire can not hold
//! are clamped: the server's range check then names the field.

use std::time::{Duration, Instant, SystemTime};

/// Ends no earlier than any program.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A moment, far away where it can not be told: `Duration::MAX` is how callers say "without end".
pub(crate) fn after(now: Instant, span: Duration) -> Instant {
    now.checked_add(span).unwrap_or_else(|| now + FAR)
}

pub(crate) fn wire_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

pub(crate) fn wire_timestamp(time: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(time)
}

/// A negative duration reads as zero.
#[cfg(feature = "worker")]
pub(crate) fn std_duration(duration: &prost_types::Duration) -> Duration {
    Duration::new(
        u64::try_from(duration.seconds).unwrap_or(0),
        u32::try_from(duration.nanos).unwrap_or(0).min(999_999_999),
    )
}
