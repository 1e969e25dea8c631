//! `target/xtask/result.json`: what a run proved, of which commit, and where its time went. It
//! says whether a commit was tested as a whole.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Count, report::Line};
use crate::shell;

pub(super) const FILE: &str = "target/xtask/result.json";

/// What a run was asked to do.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) seed: u64,
    /// No step was left out.
    pub(super) is_whole: bool,
    pub(super) took: Duration,
}

/// Writes the result file.
pub(super) fn write(root: &Path, run: &Run, lines: &[Line]) -> Result<()> {
    let status = shell::output(shell::command("git").args(["status", "--porcelain"]));
    let commit = shell::output(shell::command("git").args(["rev-parse", "HEAD"]));
    let commit = commit.ok().map(|text| text.trim().to_owned());
    let is_dirty = status.ok().map(|text| !text.trim().is_empty());
    let value = result(run, lines, commit.as_deref(), is_dirty);
    let text = serde_json::to_string_pretty(&value)? + "\n";
    std::fs::write(root.join(FILE), text).with_context(|| format!("write {FILE}"))
}

/// `commit` and `is_dirty` are null outside of a git checkout.
fn result(run: &Run, lines: &[Line], commit: Option<&str>, is_dirty: Option<bool>) -> Value {
    let mut total = Count::default();
    for line in lines {
        total += &line.count;
    }
    let steps = lines.iter().map(|line| {
        json!({
            "name": line.name,
            "seconds": tenths(line.took.as_secs_f64()),
            "passed": line.count.passed,
            "failed": line.count.failed,
        })
    });
    let flaky = total.flaky.iter().map(|case| case.name.as_str());
    let slowest =
        total.slowest.iter().map(|(name, s)| json!({ "name": name, "seconds": tenths(*s) }));
    json!({
        "commit": commit,
        "dirty": is_dirty,
        "whole": run.is_whole,
        "seed": run.seed,
        "passed": total.passed,
        "failed": total.failed,
        "flaky": flaky.collect::<Vec<_>>(),
        "skipped": total.skipped,
        "seconds": tenths(run.took.as_secs_f64()),
        "steps": steps.collect::<Vec<_>>(),
        "slowest": slowest.collect::<Vec<_>>(),
    })
}

fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
