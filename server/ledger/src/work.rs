//! What the ledger does, once for all databases: which ranges a list reads, what a batch of
//! journal entries adds up to, what may be forgotten. Only [`crate::rows::Rows`] is asked.

pub(crate) mod batch;
mod count;
mod identity;
mod kind;
mod list;
mod logs;
mod outputs;
mod project;
mod read;
mod retain;
mod scan;

pub(crate) use count::{counts, finals};
pub(crate) use identity::{audit, keys, put_audit, put_key, revoke_key, touch_keys, trim_audit};
pub(crate) use kind::{declare_kinds, drop_unseen_kinds, kind, kinds, see_kinds};
pub(crate) use list::{list, matching};
pub(crate) use logs::{append_logs, log_bytes, read_logs, remove_logs};
pub(crate) use outputs::{append_output, last_with_output, read_output};
pub(crate) use project::{deleted, project};
pub(crate) use read::{as_of, attempts, checkpoint, get, held_keys, live, producers, queues};
pub(crate) use retain::{expired, oldest, overfull, remove};
