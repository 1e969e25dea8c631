//! Colours for terminal output; none elsewhere or when NO_COLOR is set.

use std::io::IsTerminal;

/// Whether standard output is a terminal that may be coloured.
pub(crate) fn on_terminal() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

pub(crate) fn good(text: &str) -> String {
    wrap("32", text)
}

pub(crate) fn bad(text: &str) -> String {
    wrap("31;1", text)
}

pub(crate) fn faint(text: &str) -> String {
    wrap("2", text)
}

pub(crate) fn strong(text: &str) -> String {
    wrap("1", text)
}

fn wrap(code: &str, text: &str) -> String {
    if on_terminal() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
