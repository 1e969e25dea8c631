//! The stores of a server under measurement, in a directory that goes with them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use sentinel_faults::{MariaDb, RedisServer};
use tempfile::TempDir;

use crate::args::Store;

/// A Redis as production should have it: each write is on disk before its answer. Rewriting
/// the file at a moment of its own choice would fall into some rounds and not into others.
const REDIS_ARGS: [&str; 2] = ["--auto-aof-rewrite-percentage", "0"];

/// Stopped and removed when dropped.
pub(crate) struct Stores {
    redis: Option<RedisServer>,
    ledger: Option<MariaDb>,
    dir: TempDir,
}

impl Stores {
    /// Empty ones, in a new directory below `parent`.
    pub(crate) fn start(store: Store, parent: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("sentinel-bench-")
            .tempdir_in(parent)
            .with_context(|| format!("make a directory in {}", parent.display()))?;
        let (redis, ledger) = match store {
            Store::Embedded => (None, None),
            Store::Redis => {
                let dir = dir.path().join("redis");
                std::fs::create_dir(&dir)?;
                let redis = RedisServer::start(&dir, &REDIS_ARGS);
                let ledger = MariaDb::start_in(
                    TempDir::new_in(parent)?,
                    &["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M"],
                );
                migrate(&ledger)?;
                (Some(redis), Some(ledger))
            }
        };
        Ok(Self { redis, ledger, dir })
    }

    /// What `sentinel serve` needs to find them.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec![format!("--data-dir={}", self.dir.path().join("data").display())];
        flags.extend(self.redis.iter().map(|redis| format!("--store-url={}", redis.url())));
        flags.extend(self.ledger.iter().map(|ledger| format!("--ledger-url={}", ledger.url())));
        flags
    }

    fn redis_says(&self, section: &str, names: &[&str]) -> Option<f64> {
        let text = self.redis.as_ref()?.ask(&format!("INFO {section}"))?;
        let value = |name| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        names.iter().map(|name| value(name)?.trim().parse::<f64>().ok()).sum()
    }

    /// CPU time of Redis so far, where there is one.
    pub(crate) fn redis_cpu_s(&self) -> Option<f64> {
        self.redis_says("cpu", &["used_cpu_user", "used_cpu_sys"])
    }

    /// Memory that Redis has given out, where there is one.
    pub(crate) fn redis_bytes(&self) -> Option<f64> {
        self.redis_says("memory", &["used_memory"])
    }
}

/// Makes the tables of a new database.
fn migrate(ledger: &MariaDb) -> Result<()> {
    let mut command = Command::new(crate::programs::beside("sentinel")?);
    command.arg("migrate").arg(format!("--ledger-url={}", ledger.url())).arg("--json");
    let output = command.output().context("run sentinel migrate")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "sentinel migrate: {said}");
    Ok(())
}

/// What Redis takes at most of single commands without a script, pipelined.
pub(crate) fn redis_ceiling(parent: &Path) -> Result<Option<f64>> {
    let stores = Stores::start(Store::Redis, parent)?;
    let Some(redis) = &stores.redis else { return Ok(None) };
    let port = redis.port().to_string();
    let output = Command::new("redis-benchmark")
        .args(["-p", &port, "-t", "hset", "-n", "500000", "-r", "100000", "-d", "130"])
        .args(["-P", "256", "-c", "4", "--csv"])
        .output()
        .context("redis-benchmark is not installed: apt-get install redis-tools")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("\"HSET\"")).unwrap_or_default();
    Ok(line.split(',').nth(1).and_then(|rate| rate.trim_matches('"').parse().ok()))
}
