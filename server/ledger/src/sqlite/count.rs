//! Counts by index alone, up to a cap.

use diesel::prelude::*;
use sentinel_broker::codec::code;
use sentinel_domain::limits::COUNT_CAP;
use sentinel_domain::{Name, State};

use super::fault::Fault;
use super::scan::queue_names;
use super::schema::jobs;
use crate::QueueCount;

/// How many jobs are in each state, by queue and state; what is zero is left out.
/// No queues: all of them.
pub(crate) fn counts(
    connection: &mut SqliteConnection,
    queues: Vec<Name>,
) -> Result<Vec<QueueCount>, Fault> {
    let mut queues = if queues.is_empty() { queue_names(connection)? } else { queues };
    queues.sort();
    queues.dedup();
    let mut found = Vec::new();
    for queue in queues {
        for state in State::ALL {
            let count = count(connection, &queue, state)?;
            if count > 0 {
                let capped = count > COUNT_CAP;
                let count = count.min(COUNT_CAP);
                found.push(QueueCount { queue: queue.clone(), state, count, capped });
            }
        }
    }
    Ok(found)
}

/// At most one over the cap. The place of the entry after the cap is looked for first,
/// since a plain count has no bound.
fn count(connection: &mut SqliteConnection, queue: &str, state: State) -> Result<u64, Fault> {
    let of = jobs::table
        .filter(jobs::queue.eq(queue))
        .filter(jobs::state.eq(code::from_state(state).cast_signed()));
    let beyond: Option<Vec<u8>> = of
        .order(jobs::id.asc())
        .select(jobs::id)
        .limit(1)
        .offset(COUNT_CAP.cast_signed())
        .first(connection)
        .optional()?;
    if beyond.is_some() {
        return Ok(COUNT_CAP + 1);
    }
    let count: i64 = of.count().get_result(connection)?;
    Ok(count.cast_unsigned())
}

#[cfg(test)]
mod tests;
