//! Counts of jobs. They read index entries only, up to a cap.

use sentinel_domain::limits::COUNT_CAP;
use sentinel_domain::{Name, State};

use super::merge::queue_names;
use crate::connection::Connection;
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};
use crate::types::jobs::QueueCount;

impl Ledger {
    /// Counts the jobs of some queues in each state, sorted by queue and state; zeros are left
    /// out. An empty list stands for all queues.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn count_by_state(&self, queues: Vec<Name>) -> Result<Vec<QueueCount>, LedgerError> {
        with_conn!(self.history.read, |conn| async {
            let queues = if queues.is_empty() { queue_names(conn).await? } else { queues.clone() };
            count_states(conn, queues, &State::ALL).await
        })
    }

    /// Counts the jobs of some queues in each terminal state, sorted by queue and state; zeros
    /// are left out.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn count_terminal(&self, queues: Vec<Name>) -> Result<Vec<QueueCount>, LedgerError> {
        let terminal: Vec<State> =
            State::ALL.into_iter().filter(|state| state.is_terminal()).collect();
        with_conn!(self.history.read, |conn| count_states(conn, queues.clone(), &terminal))
    }
}

pub(crate) async fn count_states<C: Connection>(
    conn: &mut C,
    mut queues: Vec<Name>,
    states: &[State],
) -> Result<Vec<QueueCount>, DatabaseError> {
    queues.sort();
    queues.dedup();
    let mut found = Vec::new();
    for queue in queues {
        for &state in states {
            let count = conn.count(&queue, state, Some(COUNT_CAP)).await?;
            if count > 0 {
                let capped = count > COUNT_CAP;
                let count = count.min(COUNT_CAP);
                found.push(QueueCount { queue: queue.clone(), state, count, capped });
            }
        }
    }
    Ok(found)
}
