//! `cargo xtask tidy`: the house rules as programs. A rule that nobody checks is a wish.
//! Each check is a file below; its tests plant a violation and see it found.

mod arrows;
mod budgets;
mod commented;
mod deny;
mod headers;
mod ignores;
mod links;
mod lints;
mod names;
mod prose;
mod sleeps;
mod source;
mod spawns;
mod weight;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::{paint, repo};
use source::Tree;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Print only what fails, not what is close to its budget.
    #[arg(long)]
    quiet: bool,
}

/// Something a check found. One that does not fail is printed, to be seen growing.
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

/// Everything that every check finds, notices first so that failures end up in view.
pub(crate) fn problems(root: &Path) -> Result<Vec<Problem>> {
    let tree = Tree::read(root)?;
    let packages = repo::packages()?;
    let mut found = Vec::new();
    found.extend(arrows::check(&packages));
    found.extend(deny::check(&tree, &packages));
    found.extend(lints::check(&tree, &packages));
    found.extend(weight::check());
    let sources: [fn(&Tree) -> Vec<Problem>; 9] = [
        budgets::check,
        commented::check,
        headers::check,
        ignores::check,
        links::check,
        names::check,
        prose::check,
        sleeps::check,
        spawns::check,
    ];
    found.extend(sources.iter().flat_map(|check| check(&tree)));
    found.sort();
    Ok(found)
}
