//! `sentinel serve` and `sentinel dev`: settings, logs, then the assembly.

use std::process::ExitCode;

use crate::assembly;
use crate::config::{Config, Flags, Loaded, Mode};
use crate::telemetry::Telemetry;

use super::{failure, out};

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  sentinel serve
  sentinel serve --config /etc/sentinel.toml --print-config
  sentinel serve --listen 0.0.0.0:7070 --insecure
  SENTINEL_DATA_DIR=/srv/sentinel sentinel serve

A flag wins over the environment, that over the file, that over the default.";

pub(super) const DEV_EXAMPLES: &str = "\
Examples:
  sentinel dev
  sentinel dev --data-dir /tmp/try --log-filter debug
Then, in another terminal:
  sentinel job enqueue demo.sleep --payload '{\"ms\":2000}' --watch";

/// Runs a server until it is told to stop.
pub(super) fn run(mode: Mode, flags: Flags) -> ExitCode {
    let print = flags.print;
    let loaded = match load(mode, flags) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(failure::USAGE);
        }
    };
    if print {
        let text = loaded.to_toml();
        return match std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => out::ended(&error),
        };
    }
    match start(mode, loaded) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(mode: Mode, flags: Flags) -> anyhow::Result<Loaded> {
    Ok(Config::load(mode, &flags.sources()?)?)
}

fn start(mode: Mode, loaded: Loaded) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let telemetry = Telemetry::init(&loaded.config)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let ended = assembly::serve(loaded.config, mode).await;
        telemetry.shutdown().await;
        ended
    })
}
