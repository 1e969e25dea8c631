//! Runs the scenarios against a worker program, `sentinel-conformance node worker.js`, or against a
//! client program, `sentinel-conformance --client node client.js`. Prints one line per scenario;
//! exits with 1 when one failed.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use sentinel_conformance::{CLIENT_SCENARIOS, ClientProgram, SCENARIOS, WorkerProgram};
use tokio::task::JoinHandle;

#[derive(Debug, Parser)]
struct Args {
    /// Runs only this scenario.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Runs the scenarios of clients.
    #[arg(long)]
    client: bool,
    /// The worker or client program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

/// A scenario that can be started. In a separate task, so that a panic ends only this scenario.
type Start = Box<dyn FnOnce() -> JoinHandle<()>>;

fn scenarios(args: &Args) -> Vec<(&'static str, Start)> {
    let (program, rest) = (&args.program[0], &args.program[1..]);
    let mut found: Vec<(&'static str, Start)> = Vec::new();
    if args.client {
        for scenario in CLIENT_SCENARIOS {
            let program = ClientProgram::new(program, rest);
            let start = move || tokio::spawn(async move { scenario.run(&program).await });
            found.push((scenario.name, Box::new(start)));
        }
    } else {
        for scenario in SCENARIOS {
            let program = WorkerProgram::new(program, rest);
            let start = move || tokio::spawn(async move { scenario.run(&program).await });
            found.push((scenario.name, Box::new(start)));
        }
    }
    found.retain(|(name, _)| args.only.as_ref().is_none_or(|only| only == name));
    found
}

#[tokio::main]
async fn main() -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for (name, start) in scenarios(&Args::parse()) {
        let result = start().await;
        let status = if result.is_ok() { "ok" } else { "FAILED" };
        println!("{name} ... {status}");
        *(if result.is_ok() { &mut passed } else { &mut failed }) += 1;
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
