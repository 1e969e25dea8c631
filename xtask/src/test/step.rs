//! A step of a test run.

use std::path::PathBuf;

use anyhow::Result;

use super::Count;

/// The arguments of every step.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) root: PathBuf,
    pub(super) logs: PathBuf,
    pub(super) seed: u64,
}

/// The result of a step. An error says why it failed; its output has been printed already.
pub(super) type Outcome = Result<Count>;

#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// None for a step that compiles.
    pub(super) limit_minutes: Option<u64>,
    pub(super) run: fn(&Context, &Step) -> Outcome,
}

type Run = fn(&Context, &Step) -> Outcome;

pub(super) const fn step(
    name: &'static str,
    about: &'static str,
    limit_minutes: u64,
    run: Run,
) -> Step {
    Step { name, about, limit_minutes: Some(limit_minutes), run }
}

/// A step without a time limit.
pub(super) const fn compiles(name: &'static str, about: &'static str, run: Run) -> Step {
    Step { name, about, limit_minutes: None, run }
}
