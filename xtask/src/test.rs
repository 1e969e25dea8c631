//! `cargo xtask test`: every check and every test in one order, on a laptop as on the CI.
//! It continues after a failure, so that one run shows all of them.

mod capture;
mod count;
mod preflight;
mod repeat;
mod report;
mod result;
mod step;
mod steps;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{paint, repo, workspace};
pub(crate) use count::Count;
use report::Line;
use step::{Context, Step};
use steps::STEPS;

#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                        all steps; the last line is the count of test cases
  cargo xtask test --only unit            the fast loop
  cargo xtask test --only fmt clippy      several steps, run in the order of --list
  cargo xtask test --seed 42              repeat the seeded tests of an earlier run

The output of a failing step is printed in full; each step's output is also kept in
target/xtask/logs/<step>.log. target/xtask/result.json has the commit, the seed, the counts and the
seconds of each step. A failed test is repeated alone once; if it passes then, it is reported as
FLAKY and the run passes with at most 3 of them.")]
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

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for step in STEPS {
            println!("{:<14} {}", step.name, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&args.only)?;
    let logs = workspace::target_dir()?.join("xtask/logs");
    std::fs::create_dir_all(&logs)?;
    let context = Context { root: repo::root(), logs, seed: args.seed.unwrap_or_else(random) };
    println!("seed {} (repeat with --seed {})", context.seed, context.seed);

    let started = Instant::now();
    let lines: Vec<Line> = chosen.into_iter().map(|step| measure(&context, step)).collect();
    let took = started.elapsed();
    report::print(&lines, took);
    let run = result::Run { seed: context.seed, is_whole: args.only.is_empty(), took };
    result::write(&context.root, &run, &lines)?;
    let flaky: usize = lines.iter().map(|line| line.count.flaky.len()).sum();
    let failed = lines.iter().any(|line| line.count.failed > 0) || flaky > repeat::MAX_FLAKY;
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

/// A random seed: the standard library seeds its hash keys from the system.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() >> 32
}

#[cfg(test)]
mod tests;
