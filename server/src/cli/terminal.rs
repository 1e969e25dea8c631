//! Text that is safe for a terminal, whatever a job, a worker or a caller put into it.

/// Makes text of jobs, workers and callers safe for a terminal, in one line: control characters
/// become spaces, and characters that reverse the direction of text become visible.
pub(super) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => safe.push(' '),
            c if is_direction(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

/// Whether a character changes the direction of the text around it, so that a reader sees another
/// order than a program.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Applies [`printable`] to what the CLI prints, except to line breaks, tabs and, with `colors`,
/// the escape sequences of colours. The last guard: texts are made printable where they are laid
/// out, so that they cannot have colours or line breaks of their own.
pub(super) fn safe_lines(text: &str, colors: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() || is_direction(c)) {
        let (before, from) = rest.split_at(at);
        safe.push_str(before);
        let len = match from.chars().next() {
            Some(c @ ('\n' | '\t')) => {
                safe.push(c);
                c.len_utf8()
            }
            Some(c) => match color_len(from).filter(|_| colors) {
                Some(len) => {
                    safe.push_str(&from[..len]);
                    len
                }
                None => {
                    safe.push_str(&printable(&from[..c.len_utf8()]));
                    c.len_utf8()
                }
            },
            None => 0,
        };
        rest = &from[len..];
    }
    safe.push_str(rest);
    safe
}

/// Returns the length of an escape sequence that sets a colour, at the start of a text.
fn color_len(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some("\u{1b}[".len() + end + 1)
}

/// [`printable`] without the spaces around it.
pub(super) fn one_line(text: &str) -> String {
    printable(text).trim().to_owned()
}
