//! Counts by index alone, up to a cap.

use sentinel_domain::limits::COUNT_CAP;
use sentinel_domain::{Name, State};

use super::scan::queue_names;
use crate::QueueCount;
use crate::rows::Rows;
use crate::sql::Fault;

/// How many jobs are in each state, by queue and state; what is zero is left out.
/// No queues: all of them.
pub(crate) async fn counts<R: Rows>(
    rows: &mut R,
    queues: &[Name],
) -> Result<Vec<QueueCount>, Fault> {
    let queues = if queues.is_empty() { queue_names(rows).await? } else { queues.to_vec() };
    counts_of(rows, queues, &State::ALL).await
}

/// How many jobs of some queues ended, by queue and state; what is zero is left out.
pub(crate) async fn finals<R: Rows>(
    rows: &mut R,
    queues: &[Name],
) -> Result<Vec<QueueCount>, Fault> {
    let states = State::ALL.into_iter().filter(|state| state.is_terminal());
    counts_of(rows, queues.to_vec(), &states.collect::<Vec<_>>()).await
}

async fn counts_of<R: Rows>(
    rows: &mut R,
    mut queues: Vec<Name>,
    states: &[State],
) -> Result<Vec<QueueCount>, Fault> {
    queues.sort();
    queues.dedup();
    let mut found = Vec::new();
    for queue in queues {
        for &state in states {
            let count = rows.count(&queue, state, Some(COUNT_CAP)).await?;
            if count > 0 {
                let capped = count > COUNT_CAP;
                let count = count.min(COUNT_CAP);
                found.push(QueueCount { queue: queue.clone(), state, count, capped });
            }
        }
    }
    Ok(found)
}
