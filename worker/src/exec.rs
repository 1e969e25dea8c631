//! `process.exec`: runs a local program for a job. Only programs that the operator has allowed are
//! run, and never through a shell. Each program runs under a [`supervisor`] process, so that none
//! of its processes outlives the job or the worker.

mod command;
mod lines;
mod programs;
mod protocol;
mod run;
pub mod supervisor;

use std::path::PathBuf;
use std::sync::Arc;

use sentinel_client::worker::{HandlerError, JobContext, Outcome, WorkerBuilder};

use command::Command;
pub use programs::{ProgramError, Programs};

/// The name of the kind.
pub const KIND: &str = "process.exec";
const DESCRIPTION: &str = "{program, args, env, stdin | stdin_base64, timeout_ms, grace_ms, \
                           retry_codes}: runs a program that this worker allows; its exit code \
                           determines the outcome.";
/// The JSON Schema of the payload.
pub const INPUT_SCHEMA: &str = include_str!("exec/schema.json");

/// The configuration of `process.exec`.
#[derive(Debug)]
pub struct Config {
    /// The programs that jobs may run.
    pub programs: Programs,
    /// The environment variables that a payload may set.
    pub env_names: Vec<String>,
    /// The executable of the supervisor. It must call [`supervisor::enter`] in `main`; usually it
    /// is `/proc/self/exe`.
    pub supervisor: PathBuf,
}

/// Registers the handler if at least one program is allowed.
pub fn register(builder: WorkerBuilder, config: Config) -> WorkerBuilder {
    if config.programs.is_empty() {
        return builder;
    }
    let config = Arc::new(config);
    builder
        .handler_with_description(KIND, DESCRIPTION, move |job| handle(job, config.clone()))
        .input_schema(KIND, INPUT_SCHEMA)
}

async fn handle(job: JobContext, config: Arc<Config>) -> Result<Outcome, HandlerError> {
    let command = Command::parse(job.payload(), &config)?;
    run::run(&job, &command, &config.supervisor).await
}
