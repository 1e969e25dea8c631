//! Plays the scenarios to a worker program: `sentinel-conformance node worker.js`. Prints one line
//! for each; exits with 1 when a rule is broken.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use sentinel_conformance::{Runtime, SCENARIOS};

#[derive(Debug, Parser)]
struct Args {
    /// Only this scenario.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// The worker program and its first arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    worker: Vec<OsString>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = Runtime::new(&args.worker[0], &args.worker[1..]);
    let chosen = SCENARIOS
        .iter()
        .filter(|scenario| args.only.as_ref().is_none_or(|only| only == scenario.name));
    let (mut passed, mut failed) = (0, 0);
    for scenario in chosen {
        let runtime = runtime.clone();
        // A task of its own: a broken rule is a panic, and ends this scenario only.
        let played = tokio::spawn(async move { scenario.play(&runtime).await }).await;
        let verdict = if played.is_ok() { "ok" } else { "BROKEN" };
        println!("{} ... {verdict}", scenario.name);
        *(if played.is_ok() { &mut passed } else { &mut failed }) += 1;
    }
    println!("{passed} kept, {failed} broken");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
