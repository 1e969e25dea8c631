//! Copies the API keys and the audit log.

use sentinel_ledger::{Ledger, PutKeyResult};

use super::error::ImportError;

/// Audit entries that are copied at once.
const PAGE: usize = 500;

/// Copies API keys and audit entries. Skips those that exist already, so it can be repeated.
pub(super) async fn copy(from: &Ledger, to: &Ledger) -> Result<(), ImportError> {
    for key in from.api_keys(None).await?.map(|found| found.keys).unwrap_or_default() {
        let (id, revoked_at) = (key.id, key.revoked_at);
        match to.put_api_key(key).await? {
            PutKeyResult::Added => {}
            // An earlier attempt copied the key; it may have been revoked since.
            PutKeyResult::IdTaken => {
                if let Some(at) = revoked_at {
                    to.revoke_api_key(id, at).await?;
                }
            }
            PutKeyResult::Full => return Err(ImportError::TooManyKeys),
        }
    }
    let mut below = None;
    loop {
        let page = from.list_audit(below, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        below = Some(last.id);
        to.append_audit(page).await?;
    }
}
