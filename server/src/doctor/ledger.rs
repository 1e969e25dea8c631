//! The database of an installation whose servers share their stores.

use sentinel_ledger::{Ledger, LedgerError, LedgerOptions};

use super::Finding;
use crate::config::StoreUrl;

pub(super) async fn examine(url: &StoreUrl) -> Vec<Finding> {
    let connected = Ledger::connect(url.reveal(), LedgerOptions::default()).await;
    let found = match connected {
        Ok(ledger) => ledger.checkpoint().await,
        Err(error) => Err(error),
    };
    vec![match found {
        Ok(at) => Finding::ok("ledger", format!("has the journal up to {at}")),
        Err(error @ LedgerError::OlderFormat { .. }) => {
            Finding::bad("ledger", error.to_string(), "run sentinel migrate")
        }
        Err(error) => Finding::bad(
            "ledger",
            error.to_string(),
            "start the database, or correct ledger_url; the history falls behind without it",
        ),
    }]
}
