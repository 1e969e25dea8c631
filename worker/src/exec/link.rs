//! What the worker and its guard say to each other over the guard's standard input, a socket. The
//! worker sends one line with the [`Order`], the bytes of the program's standard input, and later
//! [`TERMINATE`]; the end of its side means: kill. The guard answers one line with the [`End`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The first argument that makes a process of this binary a guard.
pub(super) const GUARD_ARG: &str = "__exec-guard";
/// The first argument that makes it the program of a guard.
pub(super) const PROGRAM_ARG: &str = "__exec-program";
/// Asks for SIGTERM to the program's process group.
pub(super) const TERMINATE: u8 = b'T';
/// An order or an end is shorter: arguments and variables are bounded, escapes included.
pub(super) const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// What to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) stdin_bytes: u64,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be started.
    Failed(String),
}
