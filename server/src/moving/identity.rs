//! Who may call goes along with the jobs, and what people did.

use sentinel_ledger::{KeyPut, Ledger};

use super::MoveError;

/// Entries of one read and one write.
const PAGE: usize = 500;

/// Copies keys and the audit trail; what is there already stays, so this can be done again.
pub(super) async fn carry(from: &Ledger, to: &Ledger) -> Result<(), MoveError> {
    for key in from.keys(None).await?.map(|found| found.keys).unwrap_or_default() {
        let (id, revoked_at) = (key.id, key.revoked_at);
        match to.put_key(key).await? {
            KeyPut::Done => {}
            // A try before has copied it, and it may have been revoked since.
            KeyPut::IdTaken => {
                if let Some(at) = revoked_at {
                    to.revoke_key(id, at).await?;
                }
            }
            KeyPut::Full => return Err(MoveError::TooManyKeys),
        }
    }
    let mut below = None;
    loop {
        let page = from.audit(below, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        below = Some(last.id);
        to.put_audit(page).await?;
    }
}
