//! Conversions between `std::time` and the wire's Timestamp and Duration. Values outside the wire
//! range are clamped, so that the server's range check names the field.

use std::time::{Duration, Instant, SystemTime};

/// Longer than any process runs.
const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// `now + duration`, or an instant in the far future on overflow: callers pass `Duration::MAX` for
/// "unlimited".
pub(crate) fn after(now: Instant, duration: Duration) -> Instant {
    now.checked_add(duration).unwrap_or_else(|| now + FAR_FUTURE)
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

/// A negative duration becomes zero.
#[cfg(feature = "worker")]
pub(crate) fn std_duration(duration: &prost_types::Duration) -> Duration {
    Duration::new(
        u64::try_from(duration.seconds).unwrap_or(0),
        u32::try_from(duration.nanos).unwrap_or(0).min(999_999_999),
    )
}
