//! Kinds that workers declare. They are kept as long as workers declare them.

use sentinel_domain::limits::{KINDS_MAX, PAGE_MAX};
use sentinel_domain::{Millis, Name};

use crate::connection::kinds::KindConnection;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};
use crate::types::kinds::KnownKind;

/// The maximum number of names in one statement.
const NAMES_MAX: usize = 200;

impl Ledger {
    /// Records the declarations of workers. The declaration of the session that started last is
    /// kept. Beyond [`KINDS_MAX`] kinds, those not seen for the longest time are deleted.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn declare_kinds(&self, kinds: Vec<KnownKind>) -> Result<(), LedgerError> {
        with_conn!(self.history.write, |conn| async {
            for kind in &kinds {
                conn.insert_kind(kind).await?;
                conn.declare_kind(kind).await?;
                conn.touch_kinds(&[&kind.name], kind.seen_at).await?;
            }
            let surplus = conn.count_kinds().await? - KINDS_MAX.cast_signed();
            if surplus > 0 {
                let names = conn.least_recently_seen_kinds(surplus).await?;
                for names in names.chunks(NAMES_MAX) {
                    conn.delete_kinds(names).await?;
                }
            }
            Ok(())
        })
    }

    /// Records that live workers have handlers for kinds.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn touch_kinds(&self, names: Vec<Name>, at: Millis) -> Result<(), LedgerError> {
        with_conn!(self.history.write, |conn| async {
            for names in names.chunks(NAMES_MAX) {
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                conn.touch_kinds(&names, at).await?;
            }
            Ok(())
        })
    }

    /// Deletes the kinds that were last seen before a time.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn delete_unseen_kinds(&self, before: Millis) -> Result<(), LedgerError> {
        with_conn!(self.history.write, |conn| conn.delete_unseen_kinds(before))
    }

    /// Returns the kinds after a name, sorted by name.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn kinds(&self, after: String, limit: usize) -> Result<Vec<KnownKind>, LedgerError> {
        let limit = limit.clamp(1, PAGE_MAX as usize + 1) as i64;
        with_conn!(self.history.read, |conn| conn.kinds(&after, limit))
    }

    /// Returns a kind; `None` if no worker declared it.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn kind(&self, name: String) -> Result<Option<KnownKind>, LedgerError> {
        with_conn!(self.history.read, |conn| conn.kind(&name))
    }
}
