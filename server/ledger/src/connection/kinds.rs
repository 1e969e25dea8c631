//! Statements on declared kinds.

use sentinel_domain::Millis;

use super::QueryFuture;
use crate::types::kinds::KnownKind;

/// The statements. All statements of a transaction see the same state.
pub(crate) trait KindConnection: Send {
    /// Inserts a kind, unless it exists.
    fn insert_kind(&mut self, kind: &KnownKind) -> impl QueryFuture<()>;
    /// Replaces the declaration of a kind, unless a session that started later declared it.
    fn declare_kind(&mut self, kind: &KnownKind) -> impl QueryFuture<()>;
    /// Sets the time at which kinds were last seen, unless a later one is recorded.
    fn touch_kinds(&mut self, names: &[&str], at: Millis) -> impl QueryFuture<()>;
    fn count_kinds(&mut self) -> impl QueryFuture<i64>;
    /// Returns the kinds that were not seen for the longest time.
    fn least_recently_seen_kinds(&mut self, limit: i64) -> impl QueryFuture<Vec<String>>;
    fn delete_kinds(&mut self, names: &[String]) -> impl QueryFuture<()>;
    /// Deletes the kinds that were last seen before a time.
    fn delete_unseen_kinds(&mut self, before: Millis) -> impl QueryFuture<()>;
    /// Reads the kinds after a name, sorted by name.
    fn kinds(&mut self, after: &str, limit: i64) -> impl QueryFuture<Vec<KnownKind>>;
    fn kind(&mut self, name: &str) -> impl QueryFuture<Option<KnownKind>>;
}
