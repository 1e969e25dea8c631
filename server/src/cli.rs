//! The command line: the server modes, maintenance of the stores, and the client commands.

mod audit;
mod backup;
mod confirm;
mod connection;
mod demo;
mod dev;
mod doctor;
mod error;
#[cfg(test)]
mod fuzz;
mod import;
mod job;
mod json;
mod key;
mod kind;
mod migrate;
mod output;
mod parse;
mod progress_bar;
mod queue;
mod rebuild;
mod serve;
mod settings;
mod state_style;
mod table;
mod terminal;
mod text;
mod worker;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Flags, Mode};

/// Shown below the help of every command, except for `serve` and `dev`.
const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  a watched job finished FAILED, CANCELLED or EXPIRED; or the server refused lines of a file
  2  a flag, a setting or an input is invalid
  3  the job, queue, kind, worker or API key does not exist
  4  the server or the database is unreachable or overloaded
  5  refused: the state of the job, queue or directory, or the role of the API key, does not
     allow it; for doctor: a check found an error
  6  any other failure";

const EXAMPLES: &str = "\
Examples:
  sentinel dev                                         run a server and a worker on this machine
  sentinel job enqueue demo.sleep --payload '{\"ms\":2000}' --watch
  sentinel job list --state failed
  sentinel job watch --queue default
  sentinel serve --config /etc/sentinel.toml --print-config

Every command has examples: sentinel COMMAND --help";

/// Run a Sentinel server, look after its data, and enqueue, watch and cancel jobs.
#[derive(Debug, Parser)]
#[command(name = "sentinel", version, arg_required_else_help = true)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server for production.
    #[command(after_help = serve::SERVE_EXAMPLES)]
    Serve(Flags),
    /// Run a server with a demo worker on this machine, for development. Needs no setup.
    #[command(after_help = serve::DEV_EXAMPLES)]
    Dev(Flags),
    /// Enqueue, show, watch, cancel, retry and delete jobs.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", job::EXAMPLES))]
    Job(job::JobArgs),
    /// Create, change, pause, drain and list queues.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", queue::EXAMPLES))]
    Queue(queue::QueueArgs),
    /// List the kinds of jobs that workers have handlers for, and show their payload schemas.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", kind::EXAMPLES))]
    Kind(kind::KindArgs),
    /// List the workers of the whole cluster, and drain a worker before it is stopped.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", worker::EXAMPLES))]
    Worker(worker::WorkerArgs),
    /// Create, list and revoke API keys.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", key::EXAMPLES))]
    Key(key::KeyArgs),
    /// List the audit log: who changed what, when and from where.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", audit::EXAMPLES))]
    Audit(audit::AuditArgs),
    /// Back up a data directory. The server may keep running.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", backup::BACKUP_EXAMPLES))]
    Backup(backup::BackupArgs),
    /// Restore a backup into an empty data directory. Run it before a server starts there.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", backup::RESTORE_EXAMPLES))]
    Restore(backup::RestoreArgs),
    /// Rebuild the store in Redis from the ledger, after Redis lost acknowledged data.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", rebuild::EXAMPLES))]
    Rebuild(rebuild::RebuildArgs),
    /// Import a data directory into Redis and a database, to run several servers.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", import::EXAMPLES))]
    Import(import::ImportArgs),
    /// Check a server and its stores, and say how to fix what is wrong. Changes nothing.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", doctor::EXAMPLES))]
    Doctor(doctor::DoctorArgs),
    /// Create or upgrade the tables of a shared database.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", migrate::EXAMPLES))]
    Migrate(migrate::MigrateArgs),
    /// Print a shell completion script.
    #[command(
        after_help = "Example:\n  sentinel completion bash > /etc/bash_completion.d/sentinel"
    )]
    Completion {
        /// The shell to complete commands in.
        shell: clap_complete::Shell,
    },
}

/// Parses the command line and runs its command.
pub fn main() -> ExitCode {
    // Jobs, keys and backups are for the user of the program alone, whatever the shell allows.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Fails only when the output is closed, so it cannot be reported.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(error::INVALID));
        }
    };
    match cli.command {
        Command::Serve(flags) => serve::run(Mode::Serve, flags),
        Command::Dev(flags) => serve::run(Mode::Dev, flags),
        Command::Job(args) => job::run(args),
        Command::Queue(args) => queue::run(args),
        Command::Kind(args) => kind::run(args),
        Command::Worker(args) => worker::run(args),
        Command::Key(args) => key::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Backup(args) => backup::create(args),
        Command::Restore(args) => backup::restore(args),
        Command::Rebuild(args) => rebuild::run(args),
        Command::Import(args) => import::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Migrate(args) => migrate::run(args),
        Command::Completion { shell } => print_completion(shell),
    }
}

fn print_completion(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sentinel", &mut script);
    output::print_raw(&script)
}
