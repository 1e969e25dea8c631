//! `process.exec`: runs a program of this machine for a job. Only programs that the operator
//! listed, never through a shell. A process of its own, the [`guard`], stands between the worker
//! and the program, so that nothing of the program outlives its job or its worker.

mod command;
pub mod guard;
mod lines;
mod link;
mod programs;
mod run;

use std::path::PathBuf;
use std::sync::Arc;

use sentinel_client::worker::{HandlerError, JobContext, Outcome, WorkerBuilder};

use command::Command;
pub use programs::{ProgramError, Programs};

/// The kind.
pub const KIND: &str = "process.exec";
const DESCRIPTION: &str = "{program, args, env, stdin | stdin_base64, timeout_ms, grace_ms, \
                           retry_codes}: runs a program that this worker allows; its exit code \
                           decides the outcome.";
/// JSON Schema of the payload.
pub const INPUT_SCHEMA: &str = include_str!("exec/schema.json");

/// What the operator of a worker allows its jobs to run.
#[derive(Debug)]
pub struct Config {
    /// By the names that payloads use.
    pub programs: Programs,
    /// Environment variables that a payload may set.
    pub env_names: Vec<String>,
    /// The program that becomes the guard: one with [`guard::enter`] in its main, such as
    /// `/proc/self/exe`.
    pub guard: PathBuf,
}

/// Adds the handler, unless no program is allowed.
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
    run::run(&job, &command, &config.guard).await
}
