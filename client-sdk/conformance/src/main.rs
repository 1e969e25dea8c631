//! Runs the scenarios against a worker program: `sentinel-conformance node worker.js`. Prints one
//! line per scenario; exits with 1 when one failed.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use sentinel_conformance::{SCENARIOS, WorkerProgram};

#[derive(Debug, Parser)]
struct Args {
    /// Runs only this scenario.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// The worker program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    worker: Vec<OsString>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let program = WorkerProgram::new(&args.worker[0], &args.worker[1..]);
    let selected = SCENARIOS
        .iter()
        .filter(|scenario| args.only.as_ref().is_none_or(|only| only == scenario.name));
    let (mut passed, mut failed) = (0, 0);
    for scenario in selected {
        let program = program.clone();
        // In a separate task, so that a panic ends only this scenario.
        let result = tokio::spawn(async move { scenario.run(&program).await }).await;
        let status = if result.is_ok() { "ok" } else { "FAILED" };
        println!("{} ... {status}", scenario.name);
        *(if result.is_ok() { &mut passed } else { &mut failed }) += 1;
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
