//! The command line: the server's two modes, and the client verbs on the SDK.

mod audit;
mod backup;
mod connection;
pub(crate) mod demo;
mod doctor;
mod failure;
#[cfg(test)]
mod fuzz;
mod job;
mod json;
mod key;
mod kind;
mod look;
mod migrate;
mod moving;
mod out;
mod queue;
mod rebuild;
mod serve;
mod table;
mod text;
mod value;
mod worker;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Flags, Mode};

/// Shown under every help that has client verbs.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a watched job ended FAILED, CANCELLED or EXPIRED; a line of a file was refused
  2  a flag or a value is wrong
  3  there is no such job, queue, worker or kind
  4  the server can not be reached or has too much to do
  5  the state of the job, queue or directory, or the key, does not allow it; doctor: something is bad
  6  anything else";

const EXAMPLES: &str = "\
Examples:
  sentinel dev                                         a server and a worker on this machine
  sentinel job enqueue demo.sleep --payload '{\"ms\":2000}' --watch
  sentinel job list --state failed
  sentinel job watch --queue default
  sentinel serve --config /etc/sentinel.toml --print-config";

/// Runs jobs: a server that keeps them, and the verbs to enqueue, watch and cancel them.
#[derive(Debug, Parser)]
#[command(name = "sentinel", version, arg_required_else_help = true)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a server for production.
    #[command(after_help = serve::SERVE_EXAMPLES)]
    Serve(Flags),
    /// Run a server and a worker on this machine, without any set-up.
    #[command(after_help = serve::DEV_EXAMPLES)]
    Dev(Flags),
    /// Enqueue, look up, watch, cancel and retry jobs.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", job::EXAMPLES))]
    Job(job::JobCommand),
    /// Declare and look up queues.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", queue::EXAMPLES))]
    Queue(queue::QueueCommand),
    /// Look at the kinds of jobs that workers have handlers for.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", kind::EXAMPLES))]
    Kind(kind::KindCommand),
    /// Look at the workers of all servers, and take one out of service.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", worker::EXAMPLES))]
    Worker(worker::WorkerCommand),
    /// Make, list and revoke keys: who may call.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", key::EXAMPLES))]
    Key(key::KeyCommand),
    /// Look at what people did.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", audit::EXAMPLES))]
    Audit(audit::AuditCommand),
    /// Copy the data of a server, which may be running, to another directory.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", backup::BACKUP_EXAMPLES))]
    Backup(backup::Backup),
    /// Put a backup into an empty data directory, before a server is started on it.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", backup::RESTORE_EXAMPLES))]
    Restore(backup::Restore),
    /// Make the store in Redis anew from the ledger, after Redis lost what it acknowledged.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", rebuild::EXAMPLES))]
    Rebuild(rebuild::Command),
    /// Carry the data of a server on one machine over to Redis and a database.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", moving::EXAMPLES))]
    Move(moving::Command),
    /// Look at a server and its stores, and say what is wrong.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", doctor::EXAMPLES))]
    Doctor(doctor::Doctor),
    /// Bring a database that servers share to the format of this version.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", migrate::EXAMPLES))]
    Migrate(migrate::Migrate),
    /// Print the completion script of a shell.
    #[command(
        after_help = "Example:\n  sentinel completion bash > /etc/bash_completion.d/sentinel"
    )]
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Fails only where nobody reads any more.
            let _ = error.print();
            return code(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    match cli.verb {
        Verb::Serve(flags) => serve::run(Mode::Serve, flags),
        Verb::Dev(flags) => serve::run(Mode::Dev, flags),
        Verb::Job(command) => job::run(command),
        Verb::Queue(command) => queue::run(command),
        Verb::Kind(command) => kind::run(command),
        Verb::Worker(command) => worker::run(command),
        Verb::Key(command) => key::run(command),
        Verb::Audit(command) => audit::run(command),
        Verb::Backup(command) => backup::take(command),
        Verb::Restore(command) => backup::restore(command),
        Verb::Rebuild(command) => rebuild::run(command),
        Verb::Move(command) => moving::run(command),
        Verb::Doctor(command) => doctor::run(command),
        Verb::Migrate(command) => migrate::run(command),
        Verb::Completion { shell } => complete(shell),
    }
}

fn complete(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sentinel", &mut script);
    match std::io::Write::write_all(&mut std::io::stdout().lock(), &script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => out::ended(&error),
    }
}

fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}
