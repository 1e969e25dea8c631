//! Puts the server together. Not written yet: `serve` and `dev` say so.

use std::process::ExitCode;

use crate::config::{Config, Mode};

/// Runs a server until it is told to stop.
///
/// # Errors
/// Always, until the parts are put together.
pub async fn serve(_config: Config, _mode: Mode) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not assembled yet")
}
