//! The epoch of a journal, and its change by a restore.
//!
//! A restore returns to an older state. Cursors and leases from the time since the backup must be
//! invalid. A cursor contains the epoch of the journal, which changes. A lease contains an epoch of
//! its job, which would be granted again. After a restore, all lease epochs are therefore above the
//! time of the restore in milliseconds, which no counter has reached.

use std::sync::Arc;

use sentinel_domain::{Job, Millis, raise_epoch};

/// Set in the epoch of a restored journal. The lower bits are the time of the restore.
const RESTORED: u64 = 1 << 48;

/// Returns the epoch of a journal of epoch `old` that is restored at `now`.
pub(crate) fn restored_epoch(old: u64, now: Millis) -> u64 {
    let time = now.max(0).cast_unsigned().max((old & !RESTORED) + 1);
    time | RESTORED
}

/// Returns the minimum lease epoch of jobs from before the restore; 0 if there was no restore.
pub(crate) fn epoch_floor(epoch: u64) -> u64 {
    if epoch & RESTORED == 0 { 0 } else { epoch & !RESTORED }
}

/// Returns the job with its epoch raised to the floor; see [`raise_epoch`].
pub(crate) fn with_raised_epoch(job: Arc<Job>, floor: u64) -> Arc<Job> {
    raise_epoch(&job, floor).map_or(job, Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_raises_the_epoch_and_sets_the_floor() {
        assert_eq!(epoch_floor(1_000), 0);
        let first = restored_epoch(1_000, 5_000);
        assert_eq!(epoch_floor(first), 5_000);
        assert!(first > 1_000);
        // A clock that was set back does not lower the floor.
        let second = restored_epoch(first, 4_000);
        assert_eq!(epoch_floor(second), 5_001);
        assert!(second > first);
    }
}
