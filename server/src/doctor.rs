//! Checks a server and its stores. Reads only.

mod data_dir;
mod finding;
mod ledger;
mod server;
mod store;

use sentinel_client::ConnectOptions;

pub(crate) use finding::{Finding, Severity};

use crate::config::Config;

/// Checks the stores of a configuration and the server at a URL.
pub(crate) async fn examine(
    config: &Config,
    server: &str,
    connect_options: &ConnectOptions,
) -> Vec<Finding> {
    let mut findings = match (&config.store_url, &config.ledger_url) {
        (Some(store), Some(ledger)) => {
            let mut findings = store::examine(store).await;
            findings.extend(ledger::examine(ledger, config.payload_max_bytes).await);
            findings
        }
        _ => data_dir::examine(&config.data_dir),
    };
    findings.extend(server::examine(server, connect_options).await);
    findings
}
