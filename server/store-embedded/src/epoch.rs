//! The epoch of a journal, and what a restore makes of it.
//!
//! A restore brings back an older state, so what the lost time handed out must never be taken
//! for something of the new one. Cursors carry the epoch, so another epoch is enough for them.
//! A lease has a number of its job's own, which would be given again: after a restore every
//! number lies above the time of the restore in milliseconds, which no counting from below
//! has reached.

use std::sync::Arc;

use sentinel_domain::{Job, Millis, raise_epoch};

/// Set in the epoch of a journal that was restored; the bits below are a time.
const RESTORED: u64 = 1 << 48;

/// The epoch that follows `old` when it is restored at `now`.
pub(crate) fn restored(old: u64, now: Millis) -> u64 {
    let time = now.max(0).cast_unsigned().max((old & !RESTORED) + 1);
    time | RESTORED
}

/// What lease numbers of older jobs must be above; 0 where nothing was ever restored.
pub(crate) fn lease_floor(epoch: u64) -> u64 {
    if epoch & RESTORED == 0 { 0 } else { epoch & !RESTORED }
}

/// The job as it may be kept; see [`raise_epoch`].
pub(crate) fn raised(job: Arc<Job>, floor: u64) -> Arc<Job> {
    raise_epoch(&job, floor).map_or(job, Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_rise_and_only_restored_ones_have_a_floor() {
        assert_eq!(lease_floor(1_000), 0);
        let first = restored(1_000, 5_000);
        assert_eq!(lease_floor(first), 5_000);
        assert!(first > 1_000);
        // A clock that was set back does not take the floor back.
        let second = restored(first, 4_000);
        assert_eq!(lease_floor(second), 5_001);
        assert!(second > first);
    }
}
