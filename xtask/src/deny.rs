//! cargo-deny on deny.toml: licences, banned crates, sources and known vulnerabilities.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{compiled, shell};

/// Checks that need nothing but Cargo.lock.
pub(crate) const OFFLINE: &[&str] = &["bans", "licenses", "sources"];

/// Needs a copy of the advisory database.
pub(crate) const ADVISORIES: &[&str] = &["advisories", "--disable-fetch"];

/// `cargo deny check WHICH`.
pub(crate) fn command(which: &[&str]) -> Result<Command> {
    let mut command = shell::command(compiled::DENY.ensure()?);
    command.args(["--workspace", "--all-features", "--locked", "check"]).args(which);
    Ok(command)
}

/// Why advisories cannot be checked, if there is no database on this machine.
pub(crate) fn advisories_missing() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")))?;
    let folder = home.join("advisory-dbs");
    let mut entries = folder.read_dir().ok().into_iter().flatten();
    let why =
        format!("advisories: no database in {}; `cargo deny fetch` downloads it", folder.display());
    entries.next().is_none().then_some(why)
}
