//! `cargo xtask bench`: how fast a server is, beside what the machine allows in the same run.

mod args;
mod echo;
mod load;
mod machine;
mod measure;
mod process;
mod programs;
mod report;
mod row;
mod stores;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use indicatif::{ProgressBar, ProgressStyle};

use args::Args;
use machine::Machine;
use process::EchoServer;
use report::Report;
use row::{Bench, Round};

// As in the server and the worker, so that the ceiling has no other allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let ran = match args.echo_server {
        Some(port) => echo::serve(port).await,
        None => bench(args).await,
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(args: Args) -> Result<()> {
    let data_parent = match &args.data_parent {
        Some(dir) => dir.clone(),
        // The usual temporary directory is often in memory, where a sync costs nothing.
        None => programs::beside("sentinel")?.with_file_name("bench-data"),
    };
    std::fs::create_dir_all(&data_parent)
        .with_context(|| format!("make {}", data_parent.display()))?;
    let machine = Machine::look(&programs::beside("sentinel")?);
    let echo = EchoServer::start().await?;
    let mut bench = Bench { args: args.clone(), echo, data_parent, round: Round::new() };
    let (rows, rounds) = (args.rows(), args.rounds());
    let style = ProgressStyle::with_template("{elapsed} {bar:30} {pos}/{len} {msg}")?;
    let progress = ProgressBar::new(u64::from(rounds) * rows.len() as u64).with_style(style);
    progress.enable_steady_tick(std::time::Duration::from_millis(250));
    let mut measured = Vec::new();
    for round in 1..=rounds {
        for row in &rows {
            progress.set_message(format!("round {round} of {rounds}: {}", row.name()));
            bench.run(*row).await?;
            progress.inc(1);
        }
        measured.push(std::mem::take(&mut bench.round));
    }
    progress.finish_and_clear();
    let report = Report::new(&args, machine, measured);
    let saved = report.save(&args.results)?;
    if args.json {
        println!("{}", report.to_json()?);
    } else {
        print!("{}", report.to_table());
        println!("\nraw rounds: {}", saved.display());
    }
    Ok(())
}
