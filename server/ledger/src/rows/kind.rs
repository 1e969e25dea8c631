//! Kinds: a row each, so each statement is about one or a page of them.

use sentinel_domain::Millis;

use super::Answer;
use crate::KnownKind;

/// The statements. All of a transaction see and make one state.
pub(crate) trait KindRows: Send {
    /// Leaves one that is there as it is.
    fn add_kind(&mut self, kind: &KnownKind) -> impl Answer<()>;
    /// The words of a session take the place of those of one that did not begin later.
    fn declare_kind(&mut self, kind: &KnownKind) -> impl Answer<()>;
    /// Never sets it back.
    fn see_kinds(&mut self, names: &[&str], at: Millis) -> impl Answer<()>;
    fn count_kinds(&mut self) -> impl Answer<i64>;
    /// Those that were not seen for longest.
    fn stale_kinds(&mut self, limit: i64) -> impl Answer<Vec<String>>;
    fn drop_kinds(&mut self, names: &[String]) -> impl Answer<()>;
    /// Deletes those that were not seen since a time.
    fn drop_unseen_kinds(&mut self, before: Millis) -> impl Answer<()>;
    /// By name, behind one.
    fn kinds(&mut self, after: &str, limit: i64) -> impl Answer<Vec<KnownKind>>;
    fn kind(&mut self, name: &str) -> impl Answer<Option<KnownKind>>;
}
