//! `cargo xtask tidy`: the rules of this repository as programs. Each check is a file below; its
//! tests plant a violation and expect it to be found.

mod commented;
mod cycles;
mod dependencies;
mod headers;
mod ignores;
mod links;
mod lints;
mod names;
mod prose;
mod references;
mod sizes;
mod sleeps;
mod source;
mod spawns;
mod weight;
mod words;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::{paint, repo, workspace};
use source::Tree;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Print only failures, not sizes that are close to their limit.
    #[arg(long)]
    quiet: bool,
}

/// A violation, or a size close to its limit: the latter is printed and does not fail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) fails: bool,
    place: String,
    what: String,
}

impl Problem {
    fn failure(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { fails: true, place: place.into(), what: what.into() }
    }

    fn notice(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { fails: false, place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.fails { paint::bad("fails ") } else { paint::faint("notice") };
        write!(f, "{mark} {}: {}", self.place, self.what)
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let problems = problems(&repo::root())?;
    for problem in problems.iter().filter(|problem| problem.fails || !args.quiet) {
        println!("{problem}");
    }
    let failures = problems.iter().filter(|problem| problem.fails).count();
    println!("tidy: {failures} failures, {} notices", problems.len() - failures);
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The findings of every check, notices first so that failures are the last lines.
pub(crate) fn problems(root: &Path) -> Result<Vec<Problem>> {
    let tree = Tree::read(root)?;
    let packages = workspace::packages()?;
    let mut found = Vec::new();
    found.extend(dependencies::check(&packages));
    found.extend(lints::check(&tree, &packages));
    found.extend(weight::check());
    found.extend(words::check_subjects());
    let sources: [fn(&Tree) -> Vec<Problem>; 12] = [
        sizes::check,
        commented::check,
        cycles::check,
        headers::check,
        ignores::check,
        links::check,
        names::check,
        prose::check,
        references::check,
        sleeps::check,
        spawns::check,
        words::check,
    ];
    found.extend(sources.iter().flat_map(|check| check(&tree)));
    found.sort();
    Ok(found)
}
