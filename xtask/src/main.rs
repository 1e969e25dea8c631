//! The commands of this repository. Whatever a contributor, the CI or the README runs is
//! `cargo xtask <command>`, so that no logic lives in shell scripts or workflow YAML.

mod bench;
mod codegen;
mod compiled;
mod deny;
mod dev;
mod languages;
mod lint;
mod npm;
mod paint;
mod panel;
mod proto;
mod repo;
mod shell;
mod soak;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run, test and measure Sentinel, and check the rules of its repository.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    after_help = "\
A first hour:
  cargo xtask dev                    build and start a server with a worker beside it
  cargo xtask test --only unit       the fast loop while writing code
  cargo xtask lint                   what to run before a commit
  cargo xtask test                   everything the CI runs, in the same order

Output is coloured on a terminal; NO_COLOR=1 turns that off."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build the panel, the server and the worker, then run `sentinel dev`.
    Dev {
        /// Passed to `sentinel dev` as they are, for example `--help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run every check and every test, in the order of the CI.
    Test(test::Args),
    /// Run the soak tests (ignored tests named soak) and write a result file.
    Soak(soak::Args),
    /// Build for release and run the load generator.
    Bench {
        /// Passed to `sentinel-bench` as they are, for example `--help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Check the rules of the repository: dependencies, import cycles, sizes, words, links.
    Tidy(tidy::Args),
    /// Generate Rust from the .proto files, or check that it is fresh.
    Codegen(codegen::Args),
    /// Check format, clippy, tidy and generated code before a commit.
    Lint,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        Verb::Dev { args } => dev::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Soak(args) => soak::run(&args),
        Verb::Bench { args } => bench::run(&args),
        Verb::Tidy(args) => tidy::run(&args),
        Verb::Codegen(args) => codegen::run(&args),
        Verb::Lint => lint::run(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{} {error:#}", paint::bad("error:"));
            ExitCode::FAILURE
        }
    }
}
