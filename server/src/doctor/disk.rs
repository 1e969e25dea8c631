//! The data directory of an installation on one machine.

use std::path::Path;

use indicatif::HumanBytes;

use super::Finding;
use crate::{backup, moving};

/// The journal grows to 4 GiB by default before enqueues are refused.
const ROOM_BYTES: u64 = 4 << 30;

pub(super) fn examine(dir: &Path) -> Vec<Finding> {
    let about = "data directory";
    let stat = match rustix::fs::statvfs(dir) {
        Ok(stat) => stat,
        Err(error) => {
            let found = format!("{}: {error}", dir.display());
            let remedy = "name the directory of the server with --data-dir or --config";
            return vec![Finding::bad(about, found, remedy)];
        }
    };
    let used = HumanBytes(backup::bytes_below(dir));
    let free = stat.f_bavail * stat.f_frsize;
    let found = format!("{}: {used}, {} free", dir.display(), HumanBytes(free));
    let room = if free < ROOM_BYTES {
        let remedy = "make room: with a full disk new jobs are refused";
        Finding::warn(about, found, remedy)
    } else {
        Finding::ok(about, found)
    };
    let mut findings = vec![room, ledger(dir)];
    if let Err(error) = moving::refuse_to_serve(dir) {
        let remedy = "look at the stores it names, with --store-url and --ledger-url";
        findings.push(Finding::bad("move", error.to_string(), remedy));
    }
    findings
}

fn ledger(dir: &Path) -> Finding {
    match sentinel_ledger::ledger_checkpoint(&dir.join(backup::LEDGER)) {
        Ok(at) => Finding::ok("ledger", format!("has the journal up to {at}")),
        Err(error) => Finding::bad(
            "ledger",
            error.to_string(),
            "docs/operations.md says what to do when something is wrong",
        ),
    }
}
