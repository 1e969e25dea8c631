//! Splits the output of a program, which may be any bytes, into log lines.

/// Longer lines are split.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// A buffer for the incomplete last line.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    rest: Vec<u8>,
}

impl LineBuffer {
    /// Adds bytes and calls `line` with each complete line, without its line ending.
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

    /// Calls `line` with the last line if it has no line ending.
    pub(super) fn finish(&mut self, line: impl FnMut(&str)) {
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

/// Returns the last character boundary at or before `at`.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let is_continuation =
        |at: usize| bytes.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    // A UTF-8 character has at most four bytes. Other bytes are split anywhere.
    (at.saturating_sub(3)..=at).rev().find(|at| !is_continuation(*at)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
