//! The programs of another commit, for the dose in which servers of two versions share their
//! stores.
//!
//! They are built in a checkout and a target directory of their own below `target/other`, so
//! neither the work at hand nor what was built of it is touched.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell;

/// What is built when nothing is named and there is no tag.
const WITHOUT_TAG: &str = "HEAD~10";

/// The only dose that asks for them: a build of several minutes.
pub(super) const DOSE: &str = "cluster::soak_every_promise_is_kept_when_versions_are_mixed";

/// Where the programs are, and of which commit they are.
pub(super) struct Other {
    pub(super) programs: PathBuf,
    pub(super) commit: String,
}

/// The commit that is meant: what was named, else the last tag, else some commits ago.
fn revision(named: Option<&str>) -> String {
    if let Some(named) = named {
        return named.to_owned();
    }
    let tag = shell::output(shell::command("git").args(["describe", "--tags", "--abbrev=0"]));
    tag.map_or_else(|_| WITHOUT_TAG.to_owned(), |tag| tag.trim().to_owned())
}

/// Builds them. A second run on the same commit builds nothing.
pub(super) fn build(root: &Path, named: Option<&str>) -> Result<Other> {
    let revision = revision(named);
    let parse = ["rev-parse", "--verify", "--short", &format!("{revision}^{{commit}}")];
    let commit = shell::output(shell::command("git").args(parse));
    let commit = commit.with_context(|| format!("--other {revision}"))?.trim().to_owned();
    println!("soak: the other version is {revision}, commit {commit}");
    let place = root.join("target/other");
    let (source, target) = (place.join("src"), place.join("target"));
    std::fs::create_dir_all(&place).with_context(|| format!("create {}", place.display()))?;
    // One that was deleted by hand is still on the list.
    shell::run(shell::command("git").args(["worktree", "prune"]))?;
    if source.exists() {
        let checkout = ["checkout", "--quiet", "--force", "--detach", &commit];
        shell::run(shell::command("git").arg("-C").arg(&source).args(checkout))?;
    } else {
        let add = ["worktree", "add", "--quiet", "--detach"];
        shell::run(shell::command("git").args(add).arg(&source).arg(&commit))?;
    }
    let mut cargo = shell::cargo(&["build", "--profile", "test", "--workspace", "--bins"]);
    shell::run(cargo.current_dir(&source).env("CARGO_TARGET_DIR", &target))?;
    Ok(Other { programs: target.join("debug"), commit })
}
