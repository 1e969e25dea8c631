//! `cargo xtask test`: every check and every test in one order, on a laptop as on the CI.
//! It goes on after a failure, so that one run tells everything that is wrong.

mod capture;
mod count;
mod preflight;
mod report;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{paint, repo};
pub(crate) use count::Count;
use report::Line;
use steps::{STEPS, Step};

#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                        all steps; the last line is the count of test cases
  cargo xtask test --only unit            the fast loop
  cargo xtask test --only fmt clippy      several steps, run in the order of --list
  cargo xtask test --seed 42              repeat the seeded tests of an earlier run

The output of a failing step is printed in full; each step's output is also kept in
target/xtask/logs/<step>.log.")]
pub(crate) struct Args {
    /// Seed of the seeded tests (SENTINEL_TEST_SEED). Random when absent; always printed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Run these steps only.
    #[arg(long, value_name = "STEP", num_args = 1.., value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Print the steps and what each proves, and run nothing.
    #[arg(long)]
    pub(crate) list: bool,
}

/// What each step is given.
#[derive(Debug)]
pub(crate) struct Context {
    root: PathBuf,
    logs: PathBuf,
    seed: u64,
}

/// How a step ended. An error says why it failed; its output has been printed by then.
type Outcome = Result<Count>;

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for step in STEPS {
            println!("{:<14} {}", step.name, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&args.only)?;
    let logs = repo::target_dir()?.join("xtask/logs");
    std::fs::create_dir_all(&logs)?;
    let context = Context { root: repo::root(), logs, seed: args.seed.unwrap_or_else(random) };
    println!("seed {} (repeat with --seed {})", context.seed, context.seed);

    let started = Instant::now();
    let lines: Vec<Line> = chosen.into_iter().map(|step| measure(&context, step)).collect();
    report::print(&lines, started.elapsed());
    let failed = lines.iter().any(|line| line.count.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn choose(only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("no step is called {unknown:?}; the steps are {}", known.join(", "));
    }
    let wanted = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    Ok(STEPS.iter().filter(wanted).collect())
}

fn measure(context: &Context, step: &Step) -> Line {
    report::start(step.name);
    let started = Instant::now();
    let count = (step.run)(context, step).unwrap_or_else(|error| {
        println!("{} {error:#}", paint::bad(&format!("{} failed:", step.name)));
        Count::failure()
    });
    let line = Line { name: step.name, count, took: started.elapsed() };
    report::finish(&line);
    line
}

/// A seed from the keys that the standard library draws from the system.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() >> 32
}

#[cfg(test)]
mod tests;
