//! Standard output and error messages. Standard output carries only results; notes, prompts and
//! errors go to standard error, so that a pipe gets results only.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use serde_json::Value;

use super::error::{self, CliError};
use super::terminal;
use crate::config::Color;

/// Where results are written, and in which form.
pub(super) struct Output {
    sink: Box<dyn Write + Send>,
    /// Write one JSON object per line.
    pub(super) json: bool,
    /// Write colours.
    pub(super) colors: bool,
    /// Standard output is a terminal.
    pub(super) terminal: bool,
    /// The time that ages are computed for.
    pub(super) now: SystemTime,
}

impl Output {
    /// Writes to standard output.
    #[expect(clippy::disallowed_methods, reason = "client commands show ages by this clock")]
    pub(super) fn stdout(json: bool, color: Color) -> Output {
        let terminal = std::io::stdout().is_terminal();
        let colors = !json && color.enabled(terminal);
        Output { sink: Box::new(std::io::stdout()), json, colors, terminal, now: SystemTime::now() }
    }

    /// Writes to `sink` as to a pipe: without colours.
    #[cfg(test)]
    pub(super) fn piped(sink: impl Write + Send + 'static, json: bool, now: SystemTime) -> Output {
        Output { sink: Box::new(sink), json, colors: false, terminal: false, now }
    }

    /// Writes one line and flushes it.
    pub(super) fn line(&mut self, line: impl Display) -> Result<(), CliError> {
        writeln!(self.sink, "{}", terminal::safe_lines(&line.to_string(), self.colors))?;
        // A watch may print its next line hours later.
        self.sink.flush()?;
        Ok(())
    }

    /// Writes raw bytes and flushes them.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.sink.write_all(bytes)?;
        self.sink.flush()?;
        Ok(())
    }

    /// Writes one JSON value on one line.
    pub(super) fn json_line(&mut self, value: &Value) -> Result<(), CliError> {
        self.line(value)
    }

    /// Writes each item as a JSON value on its own line.
    pub(super) fn json_lines<T>(
        &mut self,
        items: &[T],
        to_json: impl Fn(&T) -> Value,
    ) -> Result<(), CliError> {
        items.iter().try_for_each(|item| self.json_line(&to_json(item)))
    }
}

/// Prints an error on standard error and returns the exit code. A closed pipe is no error:
/// `sentinel job list | head` succeeds.
pub(super) fn print_error(error: &CliError, json: bool) -> u8 {
    if let CliError::Output(error) = error
        && error.kind() == ErrorKind::BrokenPipe
    {
        return 0;
    }
    if json {
        eprintln!("{}", error.to_json());
    } else {
        eprintln!("error: {error}");
        if let Some(hint) = error.hint() {
            eprintln!("  hint: {hint}");
        }
    }
    error.exit_code()
}

/// Runs a command that needs no server, and returns the exit code.
pub(super) fn run_local<C>(json: bool, command: C) -> ExitCode
where
    C: AsyncFnOnce(&mut Output) -> Result<(), CliError>,
{
    let mut out = Output::stdout(json, Color::Auto);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return runtime_error(&error),
    };
    match runtime.block_on(command(&mut out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(print_error(&error, json)),
    }
}

/// Reports that the async runtime did not start.
pub(super) fn runtime_error(error: &std::io::Error) -> ExitCode {
    eprintln!("error: start the async runtime: {error}");
    ExitCode::from(error::OTHER)
}

/// Writes bytes to standard output and returns the exit code.
pub(super) fn print_raw(bytes: &[u8]) -> ExitCode {
    match std::io::stdout().lock().write_all(bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(print_error(&CliError::Output(error), false)),
    }
}
