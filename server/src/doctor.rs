//! What a look at an installation finds, and what to do about it. Reads only.

mod disk;
mod ledger;
mod server;
mod store;

use sentinel_client::Access;
use serde::Serialize;

use crate::config::Config;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// A part of the installation.
    pub(crate) about: &'static str,
    /// How bad it is.
    pub(crate) verdict: Verdict,
    /// What is there.
    pub(crate) found: String,
    /// What to do; none where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<&'static str>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and less well or less safely than it could.
    Warn,
    /// It does not work, or will lose what was acknowledged.
    Bad,
}

impl Finding {
    fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    fn warn(about: &'static str, found: impl Into<String>, remedy: &'static str) -> Self {
        Self { about, verdict: Verdict::Warn, found: found.into(), remedy: Some(remedy) }
    }

    fn bad(about: &'static str, found: impl Into<String>, remedy: &'static str) -> Self {
        Self { about, verdict: Verdict::Bad, found: found.into(), remedy: Some(remedy) }
    }
}

/// Looks at the stores of a configuration and at the server of a URL.
pub(crate) async fn examine(config: &Config, server: &str, access: &Access) -> Vec<Finding> {
    let mut findings = match (&config.store_url, &config.ledger_url) {
        (Some(store), Some(ledger)) => {
            let mut findings = store::examine(store).await;
            findings.extend(ledger::examine(ledger, config.payload_max_bytes).await);
            findings
        }
        _ => disk::examine(&config.data_dir),
    };
    findings.extend(server::examine(server, access).await);
    findings
}
