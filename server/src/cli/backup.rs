//! `sentinel backup` and `sentinel restore`: they work on files, so they run on the machine
//! of the server, and need none that runs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use sentinel_domain::Millis;
use serde_json::json;

use super::failure::Failure;
use super::out::{self, Out};
use crate::backup::{self, BackupError};
use crate::config::{Config, Flags, Mode};

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  sentinel backup /mnt/backup/monday
  sentinel backup --data-dir /srv/sentinel /mnt/backup/monday --json
  sentinel backup --config /etc/sentinel.toml /mnt/backup/$(date +%F)

The server may run meanwhile, and goes on as before. The copy has everything that was
acknowledged before it began. It is checked before it gets its name: a directory called
DEST is whole, one called DEST.partial is not and can be deleted.";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  sentinel restore /mnt/backup/monday --data-dir /srv/sentinel
  sentinel restore /mnt/backup/monday && sentinel serve

Everything since the backup is lost. Jobs that were running go back to their queues, or fail
where they must not run twice; workers that still hold one are told to stop, and watches are
told of a gap. See docs/operations.md.";

const EVERY: Duration = Duration::from_millis(100);

/// `sentinel backup`.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Where to: a directory that is empty or not there.
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    #[command(flatten)]
    place: DataPlace,
}

/// `sentinel restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// A directory that `sentinel backup` made.
    #[arg(value_name = "SRC")]
    source: PathBuf,
    #[command(flatten)]
    place: DataPlace,
}

#[derive(Debug, Args)]
struct DataPlace {
    /// The data directory of the server [env: SENTINEL_DATA_DIR] [default: /var/lib/sentinel].
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,
    /// The TOML file of the server, where it names the data directory.
    #[arg(long, value_name = "FILE", env = "SENTINEL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
}

impl DataPlace {
    /// As a server would find it.
    fn find(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        let wrong = |reason: String| Failure::Flag { flag: "--config", reason };
        let flags = Flags { file: self.config.clone(), ..Flags::default() };
        let sources = flags.sources().map_err(|error| wrong(format!("{error:#}")))?;
        let loaded = Config::load(Mode::Serve, &sources);
        Ok(loaded.map_err(|mistakes| wrong(mistakes.to_string()))?.config.data_dir)
    }
}

/// Takes a backup.
pub(super) fn take(command: Backup) -> ExitCode {
    let Backup { dest, place } = command;
    out::answer(place.json, async move |out: &mut Out| {
        let data = place.find()?;
        let partial = backup::partial(&dest);
        let (from, to) = (data.clone(), dest.clone());
        let work = tokio::task::spawn_blocking(move || backup::take(&from, &to, now()));
        let bar = bar(out, backup::bytes_below(&data));
        let manifest = watched(work, || bar.set_position(backup::bytes_below(&partial))).await?;
        bar.finish_and_clear();
        if out.json {
            return out.object(&json!({ "dest": dest, "manifest": manifest }));
        }
        out.line(format!(
            "{} holds the data of {} up to {}-{}: {} in {} files",
            dest.display(),
            data.display(),
            manifest.epoch,
            manifest.last_entry,
            HumanBytes(manifest.bytes()),
            manifest.files.len(),
        ))
    })
}

/// Restores a backup.
pub(super) fn restore(command: Restore) -> ExitCode {
    let Restore { source, place } = command;
    out::answer(place.json, async move |out: &mut Out| {
        let data = place.find()?;
        let (from, to) = (source.clone(), data.clone());
        // It copies files, and waits for stores in between.
        let runtime = tokio::runtime::Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            runtime.block_on(backup::restore(&from, &to, now()))
        });
        let bar = bar(out, backup::bytes_below(&source));
        let done = watched(work, || bar.set_position(backup::bytes_below(&data))).await?;
        bar.finish_and_clear();
        if out.json {
            let (manifest, revoked) = (&done.manifest, done.revoked);
            let answer = json!({ "dataDir": data, "revokedJobs": revoked, "manifest": manifest });
            return out.object(&answer);
        }
        out.line(format!(
            "{} holds the backup {}: {}; {} running jobs were taken back",
            data.display(),
            source.display(),
            HumanBytes(done.manifest.bytes()),
            done.revoked,
        ))
    })
}

/// The one clock of these verbs; the stores take time as an argument.
#[expect(clippy::disallowed_methods, reason = "a process of its own, beside any server")]
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// On standard error, for people only.
fn bar(out: &Out, bytes: u64) -> ProgressBar {
    if out.json {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {elapsed}");
    ProgressBar::new(bytes).with_style(style.expect("the template is right"))
}

/// Waits for the work and shows how far it is.
async fn watched<T>(
    work: tokio::task::JoinHandle<Result<T, BackupError>>,
    show: impl Fn(),
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done.expect("the work does not panic")?),
            _ = tick.tick() => show(),
        }
    }
}
