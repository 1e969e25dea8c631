//! The files of the checkout. Rust files have a second text in which comments and literals are
//! blank, so that checks do not take prose for code. Hand-written: a parser such as syn would double
//! the build time of `cargo xtask`.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};

use crate::repo;

/// A file that people write.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// For Rust: `text` with comments, strings and characters replaced by blanks, line for
    /// line and byte for byte. Empty for other files.
    pub(super) code: String,
    /// For Rust: where each `//` comment starts and ends.
    pub(super) comments: Vec<Range<usize>>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = if path.ends_with(".rs") { blank(text) } else { Default::default() };
        Self { path: path.to_owned(), text: text.to_owned(), code, comments }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(super) fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// Written by `cargo xtask codegen`.
    pub(super) fn is_generated(&self) -> bool {
        self.path.contains("/src/gen/")
    }

    /// Compiled for tests only, as a whole.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// `path:line` of a byte of the text.
    pub(super) fn place(&self, byte: usize) -> String {
        format!("{}:{}", self.path, self.line_of(byte))
    }

    pub(super) fn line_of(&self, byte: usize) -> usize {
        self.text.as_bytes()[..byte].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Every text file of the checkout.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) sources: Vec<Source>,
    /// Every path, of text or not, for checks that ask whether a file exists.
    pub(super) paths: Vec<String>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self { sources: Vec::new(), paths: Vec::new() };
        for path in repo::files(root)? {
            let name = path.to_string_lossy().replace('\\', "/");
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            if matches!(
                extension,
                "rs" | "md" | "toml" | "ts" | "tsx" | "js" | "py" | "lua" | "proto"
            ) {
                let text = std::fs::read_to_string(root.join(&path))
                    .with_context(|| format!("read {name}"))?;
                tree.sources.push(Source::new(&name, &text));
            }
            tree.paths.push(name);
        }
        Ok(tree)
    }

    /// A tree of these files, for the tests of the checks.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let sources = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        Self { sources, paths: files.iter().map(|(path, _)| (*path).to_owned()).collect() }
    }

    /// The Rust that people wrote.
    pub(super) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.is_rust() && !source.is_generated())
    }

    pub(super) fn markdown(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.is_markdown())
    }

    pub(super) fn get(&self, path: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.path == path)
    }
}

/// Blanks comments and literals, newlines and lengths stay; and the line comments.
fn blank(text: &str) -> (String, Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut comments = Vec::new();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skip(bytes, at);
        if end > at {
            if bytes[at..].starts_with(b"//") {
                comments.push(at..end);
            }
            for byte in &mut out[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    (String::from_utf8(out).expect("whole literals become ASCII blanks"), comments)
}

/// Where the comment or literal that starts at `at` ends; `at` when none starts there.
fn skip(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest),
        [b'r', b'"' | b'#', ..] if !after_word => at + raw(rest),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !after_word => {
            let length = raw(&rest[1..]);
            if length > 0 { at + 1 + length } else { at }
        }
        [b'\'', ..] => at + character(rest),
        _ => at,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string; 0 for an identifier such as `r#type`.
fn raw(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    let body = 2 + hashes;
    let found = rest[body..].windows(close.len()).position(|window| window == close);
    found.map_or(rest.len(), |end| body + end + close.len())
}

/// The length of a character literal; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let close = rest.iter().skip(3).position(|byte| *byte == b'\'');
        return close.map_or(0, |end| end + 4);
    }
    // A character takes at most four bytes, and a lifetime has no closing quote behind one.
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(6)]).into_owned();
    let Some(first) = text.chars().next() else { return 0 };
    if rest.get(1 + first.len_utf8()) == Some(&b'\'') { 2 + first.len_utf8() } else { 0 }
}

/// Every place where `needle` stands in `code` as a whole word (a path may precede it).
pub(super) fn find_all(code: &str, needle: &str) -> Vec<usize> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let found = code.match_indices(needle).map(|(at, _)| at);
    found.filter(|at| *at == 0 || !word(code.as_bytes()[at - 1])).collect()
}

#[cfg(test)]
mod tests;
