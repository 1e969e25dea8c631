//! `cargo xtask codegen`: runs the generator. It is a separate crate because a build of the server
//! needs none of its dependencies.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{paint, proto, repo, shell, tools, workspace};

/// Where generated files live, relative to the root.
const FOLDERS: [&str; 2] = ["proto/src/gen", "server/store/src/gen"];

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail and list the stale files.
    #[arg(long, conflicts_with = "baseline")]
    check: bool,
    /// Also write the contract to proto/baseline*.binpb, which later changes must stay compatible
    /// with. For a release, and for an intended break before the first release.
    #[arg(long)]
    baseline: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = repo::root();
    tools::ensure(&root)?;
    if args.check {
        return check(&root);
    }
    shell::run(&mut generator())?;
    if args.baseline {
        proto::write_baselines(&root)?;
    }
    println!("wrote {}", FOLDERS.join(" and "));
    Ok(ExitCode::SUCCESS)
}

fn generator() -> Command {
    shell::cargo(&["run", "--package", "xtask-codegen", "--"])
}

fn check(root: &Path) -> Result<ExitCode> {
    let fresh = workspace::target_dir()?.join("xtask/codegen");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).context("empty target/xtask/codegen")?;
    }
    shell::run(generator().arg(&fresh))?;
    let stale = compare(root, &fresh)?;
    for line in &stale {
        println!("{} {line}", paint::bad("stale:"));
    }
    if stale.is_empty() {
        println!("generated code is fresh");
        return Ok(ExitCode::SUCCESS);
    }
    println!("run `cargo xtask codegen` and commit the result");
    Ok(ExitCode::FAILURE)
}

/// One line for each file that differs, is missing or has no .proto file.
fn compare(committed: &Path, fresh: &Path) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for folder in FOLDERS {
        let have = names(&committed.join(folder))?;
        let want = names(&fresh.join(folder))?;
        for name in want.iter().filter(|name| !have.contains(name)) {
            stale.push(format!("{folder}/{} is missing", name.display()));
        }
        for name in have.iter().filter(|name| !want.contains(name)) {
            stale.push(format!("{folder}/{} has no .proto file", name.display()));
        }
        for name in have.iter().filter(|name| want.contains(name)) {
            let path = Path::new(folder).join(name);
            if std::fs::read(committed.join(&path))? != std::fs::read(fresh.join(&path))? {
                stale.push(format!("{} differs from its .proto file", path.display()));
            }
        }
    }
    Ok(stale)
}

fn names(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.is_dir() { repo::files(folder) } else { Ok(Vec::new()) }
}

#[cfg(test)]
mod tests;
