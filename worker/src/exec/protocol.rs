//! The protocol between the worker and the supervisor over the supervisor's standard input, a
//! socket. The worker sends the [`StartRequest`] as one line, then the program's standard input,
//! and later [`TERMINATE`]. Closing its side requests SIGKILL. The supervisor replies with one
//! line, the [`ProgramResult`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The first argument of the supervisor process.
pub(super) const SUPERVISOR_ARG: &str = "__exec-supervisor";
/// The first argument of the process that the supervisor starts and that executes the program.
pub(super) const PROGRAM_ARG: &str = "__exec-program";
/// Requests SIGTERM for the program's process group.
pub(super) const TERMINATE: u8 = b'T';
/// Maximum length of a line. The limits on arguments and variables keep it shorter, also escaped.
pub(super) const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// The program to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StartRequest {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) stdin_bytes: u64,
}

/// How the program finished.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProgramResult {
    /// It exited with this code.
    Exit(i32),
    /// It was terminated by this signal.
    Signal(i32),
    /// It could not be started.
    Failed(String),
}
