//! `sentinel backup` and `sentinel restore`. They copy files, so they run on the server's
//! machine and need no running server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::HumanBytes;
use sentinel_engine::Clock;
use serde_json::json;
use tokio::task::JoinHandle;

use super::error::CliError;
use super::output::{self, Output};
use super::{progress_bar, settings};
use crate::backup::{self, BackupError};
use crate::data_dir;

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  sentinel backup /mnt/backup/monday
  sentinel backup --data-dir /srv/sentinel /mnt/backup/monday --json
  sentinel backup --config /etc/sentinel.toml /mnt/backup/$(date +%F)

The server may keep running. The backup contains every change that was acknowledged before the
backup started. It is written to DEST.partial, verified, and then renamed to DEST. A directory
DEST.partial that remains is incomplete: delete it, or run the backup again.";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  sentinel restore /mnt/backup/monday --data-dir /srv/sentinel
  sentinel restore /mnt/backup/monday && sentinel serve

Changes since the backup are lost. Jobs that were running at the backup return to their queues,
or fail if their on_lost policy is FAIL. Workers that still run them are asked to stop,
and watches report a gap. See docs/operations.md.";

const BAR_TEMPLATE: &str = "{bar:40} {bytes}/{total_bytes} {elapsed}";
const BAR_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Directory to create. It must be empty or absent, and outside of the data directory.
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    #[command(flatten)]
    data: DataDirArgs,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Directory that `sentinel backup` created.
    #[arg(value_name = "SRC")]
    source: PathBuf,
    #[command(flatten)]
    data: DataDirArgs,
}

#[derive(Debug, Args)]
struct DataDirArgs {
    /// Data directory of the server [env: SENTINEL_DATA_DIR] [default: /var/lib/sentinel].
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,
    /// TOML file of the server, to read data_dir from.
    #[arg(long, value_name = "FILE", env = "SENTINEL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

impl DataDirArgs {
    /// The data directory that a server with the same settings would use.
    fn resolve(&self) -> Result<PathBuf, CliError> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(settings::load(self.config.clone(), [])?.data_dir),
        }
    }
}

/// Runs `sentinel backup`.
pub(super) fn create(args: BackupArgs) -> ExitCode {
    let BackupArgs { dest, data: data_args } = args;
    output::run_local(data_args.json, async move |out: &mut Output| {
        let data = data_args.resolve()?;
        let partial = backup::partial_path(&dest);
        let (from, to) = (data.clone(), dest.clone());
        let now = Clock::system().now();
        let copy = tokio::task::spawn_blocking(move || backup::create(&from, &to, now));
        let bar = progress_bar::new(out, data_dir::bytes_below(&data), BAR_TEMPLATE);
        let manifest =
            with_updates(copy, || bar.set_position(data_dir::bytes_below(&partial))).await?;
        bar.finish_and_clear();
        if out.json {
            return out.json_line(&json!({ "dest": dest, "manifest": manifest }));
        }
        out.line(format!(
            "backed up {} to {}: {} in {} files, up to journal position {}-{}",
            data.display(),
            dest.display(),
            HumanBytes(manifest.bytes()),
            manifest.files.len(),
            manifest.epoch,
            manifest.last_entry,
        ))
    })
}

/// Runs `sentinel restore`.
pub(super) fn restore(args: RestoreArgs) -> ExitCode {
    let RestoreArgs { source, data: data_args } = args;
    output::run_local(data_args.json, async move |out: &mut Output| {
        let data = data_args.resolve()?;
        let (from, to) = (source.clone(), data.clone());
        let now = Clock::system().now();
        // The restore blocks on files and also awaits the stores.
        let runtime = tokio::runtime::Handle::current();
        let copy =
            tokio::task::spawn_blocking(move || runtime.block_on(backup::restore(&from, &to, now)));
        let bar = progress_bar::new(out, data_dir::bytes_below(&source), BAR_TEMPLATE);
        let report = with_updates(copy, || bar.set_position(data_dir::bytes_below(&data))).await?;
        bar.finish_and_clear();
        let (manifest, revoked) = (&report.manifest, report.revoked_jobs);
        if out.json {
            let result = json!({ "dataDir": data, "revokedJobs": revoked, "manifest": manifest });
            return out.json_line(&result);
        }
        out.line(format!(
            "restored {} to {}: {}; {revoked} running jobs were revoked",
            source.display(),
            data.display(),
            HumanBytes(manifest.bytes()),
        ))
    })
}

/// Waits for a blocking task, and calls `update` at intervals.
async fn with_updates<T>(
    task: JoinHandle<Result<T, BackupError>>,
    update: impl Fn(),
) -> Result<T, CliError> {
    let mut task = std::pin::pin!(task);
    let mut tick = tokio::time::interval(BAR_INTERVAL);
    loop {
        tokio::select! {
            result = &mut task => return Ok(result.expect("copying does not panic")?),
            _ = tick.tick() => update(),
        }
    }
}
