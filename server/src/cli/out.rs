//! Where answers go. Standard output carries answers only, notes and errors go to standard
//! error, so that a pipe gets what it asked for and nothing else.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use serde_json::Value;

use super::failure::{self, Failure};
use crate::config::Color;

/// Where answers go, and what the reader can show.
pub(super) struct Out {
    sink: Box<dyn Write + Send>,
    /// One JSON object a line.
    pub(super) json: bool,
    /// The reader shows colours.
    pub(super) colors: bool,
    /// The reader is a person.
    pub(super) terminal: bool,
    /// Ages are counted to here.
    pub(super) now: SystemTime,
}

impl Out {
    /// Standard output.
    #[expect(clippy::disallowed_methods, reason = "the one clock of the client verbs")]
    pub(super) fn stdout(json: bool, color: Color) -> Out {
        let terminal = std::io::stdout().is_terminal();
        let colors = !json && color.enabled(terminal);
        Out { sink: Box::new(std::io::stdout()), json, colors, terminal, now: SystemTime::now() }
    }

    /// Into a buffer, as a pipe would get it.
    #[cfg(test)]
    pub(super) fn piped(sink: impl Write + Send + 'static, json: bool, now: SystemTime) -> Out {
        Out { sink: Box::new(sink), json, colors: false, terminal: false, now }
    }

    /// Writes one line.
    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.sink, "{line}")?;
        // A watch may say nothing for hours after this line; a reader should not wait for it.
        self.sink.flush()?;
        Ok(())
    }

    /// Writes bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sink.write_all(bytes)?;
        self.sink.flush()?;
        Ok(())
    }

    /// Writes one JSON object on a line.
    pub(super) fn object(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(value)
    }
}

/// Tells people on standard error, and gives the exit code.
pub(super) fn report(failure: &Failure, json: bool) -> u8 {
    if let Failure::Output(error) = failure
        && error.kind() == ErrorKind::BrokenPipe
    {
        return 0;
    }
    if json {
        eprintln!("{}", failure.to_json());
    } else {
        eprintln!("error: {failure}");
        if let Some(hint) = failure.hint() {
            eprintln!("  {hint}");
        }
    }
    failure.exit_code()
}

/// Runs a verb that needs no server, and tells how it ended.
pub(super) fn answer<V>(json: bool, verb: V) -> ExitCode
where
    V: AsyncFnOnce(&mut Out) -> Result<(), Failure>,
{
    let mut out = Out::stdout(json, Color::Auto);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start the runtime: {error}");
            return ExitCode::from(failure::OTHER);
        }
    };
    match runtime.block_on(verb(&mut out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(report(&failure, json)),
    }
}

/// The end of a verb whose reader went away: `sentinel job list | head` is no failure.
pub(super) fn ended(error: &std::io::Error) -> ExitCode {
    if error.kind() == ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: write to standard output: {error}");
    ExitCode::from(failure::OTHER)
}
