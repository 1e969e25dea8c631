//! Summaries of queues: computed once a second for all readers.
//!
//! The counts of waiting and running jobs come from the store, those of terminal jobs from the
//! ledger. Rates and durations come from the journal, which has the changes of every server.

mod computation;
mod histogram;
mod journal_counter;
mod selection;
mod state;
mod stream;
mod summary_loop;
mod terminal_counts;

pub use computation::{QueueSummary, Summary};
pub use histogram::Percentiles;
pub use journal_counter::QueueActivity;
pub use selection::SummarySelection;
pub(crate) use state::SummaryState;
pub use stream::{Summaries, SummaryStream};
pub(crate) use summary_loop::SummaryLoop;
