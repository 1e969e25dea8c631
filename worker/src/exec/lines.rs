//! From bytes of a program to lines of a log, whatever the bytes are.

/// Longer lines are split: a log is read by people.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// The bytes of the line that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Hands each complete line to `line`, without its end.
    pub(super) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if self.rest.ends_with(b"\n") {
                self.flush(&mut line);
            }
            while self.rest.len() > MAX_LINE_BYTES {
                let tail = self.rest.split_off(boundary(&self.rest, MAX_LINE_BYTES));
                self.flush(&mut line);
                self.rest = tail;
            }
        }
    }

    /// Hands over what has no end of line.
    pub(super) fn end(&mut self, line: impl FnMut(&str)) {
        if !self.rest.is_empty() {
            self.flush(line);
        }
    }

    fn flush(&mut self, mut line: impl FnMut(&str)) {
        let bytes = std::mem::take(&mut self.rest);
        let mut start = 0;
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        while text.len() - start > MAX_LINE_BYTES {
            let end = start + boundary(&text[start..], MAX_LINE_BYTES);
            line(&String::from_utf8_lossy(&text[start..end]));
            start = end;
        }
        line(&String::from_utf8_lossy(&text[start..]));
    }
}

/// The last place at or before `at` that is not inside of a character.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    // A character has at most four bytes; other bytes are no text and cut anywhere.
    (at.saturating_sub(3)..=at).rev().find(|at| !is_inside(*at)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
