//! Asks for confirmation before a command changes or deletes data.

use std::io::IsTerminal;

use super::error::CliError;

/// Asks on the terminal whether to proceed.
///
/// # Errors
/// The answer is not `yes`, or there is no terminal to ask on.
pub(super) fn confirm(statement: &str) -> Result<(), CliError> {
    let refused = |reason: String| CliError::InvalidFlag { flag: "--yes", reason };
    if !std::io::stdin().is_terminal() {
        let hint = "Standard input is no terminal: add --yes to proceed without a prompt";
        return Err(refused(format!("{statement}. {hint}")));
    }
    eprint!("{statement}.\nProceed? Type yes: ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    match line.trim() {
        "yes" => Ok(()),
        _ => Err(refused("not confirmed; nothing was changed".to_owned())),
    }
}
