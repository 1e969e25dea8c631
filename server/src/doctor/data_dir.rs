//! Checks a data directory.

use std::path::Path;

use indicatif::HumanBytes;

use super::finding::Finding;
use crate::{data_dir, import};

/// The default of `journal_max_bytes`: the journal can grow to this size before the server
/// refuses new jobs.
const MIN_FREE_BYTES: u64 = 4 << 30;

pub(super) fn examine(dir: &Path) -> Vec<Finding> {
    let component = "data directory";
    let stat = match rustix::fs::statvfs(dir) {
        Ok(stat) => stat,
        Err(error) => {
            let message = format!("{}: {error}", dir.display());
            let remedy = "name the data directory of the server with --data-dir or --config";
            return vec![Finding::error(component, message, remedy)];
        }
    };
    let used = HumanBytes(data_dir::bytes_below(dir));
    let free = stat.f_bavail * stat.f_frsize;
    let message = format!("{}: {used} used, {} free", dir.display(), HumanBytes(free));
    let space = if free < MIN_FREE_BYTES {
        let remedy = "free disk space: the server refuses new jobs when the disk is full";
        Finding::warning(component, message, remedy)
    } else {
        Finding::ok(component, message)
    };
    let mut findings = vec![space, ledger(dir)];
    if let Err(error) = import::check_servable(dir) {
        let remedy = "check the stores that the message names, with --store-url and --ledger-url";
        findings.push(Finding::error("import", error.to_string(), remedy));
    }
    findings
}

fn ledger(dir: &Path) -> Finding {
    match sentinel_ledger::ledger_checkpoint(&dir.join(data_dir::LEDGER)) {
        Ok(checkpoint) => Finding::ok("ledger", format!("checkpoint {checkpoint}")),
        Err(error) => {
            Finding::error("ledger", error.to_string(), "see \"Failures\" in docs/operations.md")
        }
    }
}
