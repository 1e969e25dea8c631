//! What the ledger keeps: lists, counts, attempts, log lines and output; and the projector and
//! retention, which write and remove it.

mod attempts;
mod list;
mod log_reader;
mod log_writer;
mod output_reader;
mod projector;
mod retention;
mod service;

pub use attempts::{Attempt, AttemptResult, AttemptsPage};
pub(crate) use list::check_filter;
pub use list::{CountsPage, JobsPage};
pub use log_reader::LogReader;
pub(crate) use log_writer::{AppendResult, LogWriter, log_channel};
pub use output_reader::{OutputPage, OutputReader};
pub(crate) use projector::Projector;
pub use retention::{Retention, RetentionPass};
pub use service::History;
