//! Builds the programs of another commit, for the soak test in which servers of two versions share
//! their stores. The other checkout and its target directory are below `target/other`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell;

/// The default without a tag.
const WITHOUT_TAG: &str = "HEAD~10";

/// The only test that needs them; the build takes minutes.
pub(super) const TEST: &str = "cluster::soak_guarantees_hold_with_mixed_versions";

/// The programs and their commit.
pub(super) struct Other {
    pub(super) programs: PathBuf,
    pub(super) commit: String,
}

/// The revision to build: the given one, else the last tag, else [`WITHOUT_TAG`].
fn revision(named: Option<&str>) -> String {
    if let Some(named) = named {
        return named.to_owned();
    }
    let tag = shell::output(shell::command("git").args(["describe", "--tags", "--abbrev=0"]));
    tag.map_or_else(|_| WITHOUT_TAG.to_owned(), |tag| tag.trim().to_owned())
}

/// Builds the programs, unless they were built from the same commit.
pub(super) fn build(root: &Path, named: Option<&str>) -> Result<Other> {
    let revision = revision(named);
    let parse = ["rev-parse", "--verify", "--short", &format!("{revision}^{{commit}}")];
    let commit = shell::output(shell::command("git").args(parse));
    let commit = commit.with_context(|| format!("--other {revision}"))?.trim().to_owned();
    println!("soak: the other version is {revision}, commit {commit}");
    let place = root.join("target/other");
    let (source, target) = (place.join("src"), place.join("target"));
    std::fs::create_dir_all(&place).with_context(|| format!("create {}", place.display()))?;
    // Git still lists a worktree whose folder was deleted.
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
