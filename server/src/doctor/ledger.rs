//! Checks a shared database.

use sentinel_ledger::{Ledger, LedgerError, LedgerOptions};

use super::finding::Finding;
use crate::config::SecretUrl;

/// `max_payload_bytes` is the largest payload that the servers accept.
pub(super) async fn examine(url: &SecretUrl, max_payload_bytes: u64) -> Vec<Finding> {
    let options = LedgerOptions::new(max_payload_bytes);
    let checkpoint = match Ledger::connect(url.reveal(), options).await {
        Ok(ledger) => ledger.checkpoint().await,
        Err(error) => Err(error),
    };
    vec![match checkpoint {
        Ok(checkpoint) => Finding::ok("ledger", format!("checkpoint {checkpoint}")),
        Err(error @ LedgerError::OlderFormat { .. }) => {
            Finding::error("ledger", error.to_string(), "run `sentinel migrate`")
        }
        Err(error) => Finding::error(
            "ledger",
            error.to_string(),
            "start the database or correct ledger_url; without it the history falls behind",
        ),
    }]
}
