//! Loads the settings of a server for commands that work on its stores.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::CliError;
use crate::config::{Config, DEV_DATA_DIR, Flags, Mode};

/// Loads the settings of the server of this directory: those of `sentinel dev` if its data is here,
/// else those of `sentinel serve`. Flags, the environment and a file say otherwise.
pub(super) fn load(
    file: Option<PathBuf>,
    flags: impl IntoIterator<Item = (&'static str, Option<String>)>,
) -> Result<Config, CliError> {
    let values = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let flags = Flags { values: values.collect(), file, ..Flags::default() };
    let invalid = |reason: String| CliError::InvalidFlag { flag: "settings", reason };
    let sources = flags.sources().map_err(|error| invalid(format!("{error:#}")))?;
    let mode = if Path::new(DEV_DATA_DIR).is_dir() { Mode::Dev } else { Mode::Serve };
    let loaded = Config::load(mode, &sources);
    Ok(loaded.map_err(|errors| invalid(errors.to_string()))?.config)
}

/// The flags that name the stores that several servers share.
#[derive(Debug, Args)]
pub(super) struct SharedStoreArgs {
    /// URL of the Redis, such as redis://10.0.0.5:6379 [env: SENTINEL_STORE_URL].
    #[arg(long, value_name = "URL")]
    store_url: Option<String>,
    /// URL of the database of the ledger: mysql://USER:PASSWORD@HOST:PORT/DATABASE
    /// [env: SENTINEL_LEDGER_URL].
    #[arg(long, value_name = "URL")]
    ledger_url: Option<String>,
    /// TOML file of the servers, as an alternative to both URLs.
    #[arg(long, value_name = "FILE", env = "SENTINEL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

impl SharedStoreArgs {
    /// The settings of the servers.
    pub(super) fn load(&self) -> Result<Config, CliError> {
        let flags =
            [("store_url", self.store_url.clone()), ("ledger_url", self.ledger_url.clone())];
        load(self.config.clone(), flags)
    }
}
