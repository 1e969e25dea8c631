//! On what the figures were measured.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// The machine and the versions, as in the JSON file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) host: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) load_1_min_at_start: f64,
    pub(crate) sentinel: String,
    pub(crate) commit: String,
}

fn line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What a command prints on its first line; empty where it can not run.
fn said(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned()
}

/// Processes that wanted to run, on average over the last minute.
pub(crate) fn load_1_min() -> f64 {
    line("/proc/loadavg").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

impl Machine {
    pub(crate) fn look(server: &Path) -> Self {
        let cpus = line("/proc/cpuinfo");
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
        Self {
            host: line("/proc/sys/kernel/hostname"),
            cpu: model.unwrap_or_default().trim_start_matches(['\t', ':', ' ']).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: line("/proc/sys/kernel/osrelease"),
            load_1_min_at_start: load_1_min(),
            sentinel: said(server, &["--version"]),
            commit: said("git", &["describe", "--always", "--dirty"]),
        }
    }
}

/// Seconds since 1970: the only look at the calendar.
#[expect(clippy::disallowed_methods, reason = "a result is named by the day it was measured on")]
pub(crate) fn unix_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|since| since.as_secs()).unwrap_or_default()
}

/// `2026-01-31T235900Z`, which sorts and is a file name.
pub(crate) fn now_utc() -> String {
    to_utc(unix_s())
}

fn to_utc(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Counted in years from March on, so that a leap day is the last of its year.
    let from_march = days + 719_468;
    let (era, of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests;
