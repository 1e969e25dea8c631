//! The order in which the ready jobs of a queue start.

use crate::{Millis, Queue, QueueOrder, limits::PRIORITY_MAX};

/// The distance between two priority levels in strict order. It exceeds the difference of any two
/// times in milliseconds, so the levels never overlap.
const STRICT_STEP: i64 = 1 << 45;

/// Returns the score of a ready job. The lowest score starts first; equal scores start by id, which
/// is by age.
pub fn ready_score(queue: &Queue, priority: u8, ready_at: Millis) -> i64 {
    match queue.order {
        QueueOrder::Aging => {
            let boost_ms = queue.priority_boost_ms.saturating_mul(u64::from(priority));
            ready_at.saturating_sub_unsigned(boost_ms)
        }
        QueueOrder::Strict => ready_at
            .saturating_add((PRIORITY_MAX.cast_signed() - i64::from(priority)) * STRICT_STEP),
    }
}
