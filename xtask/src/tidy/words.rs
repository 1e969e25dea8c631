//! One word per thing, and words that the field knows. A banned word fails wherever people write:
//! in identifiers, comments, texts, pages and commit subjects. The words in use are in
//! docs/glossary.md.

use super::{
    Problem,
    source::{Source, Tree},
};
use crate::shell;

/// A banned word or phrase in lower case, and what to write instead.
type Ban = (&'static str, &'static str);

/// Whole words, also as a part of an identifier: `roster` is found in `WorkerRoster`.
const WORDS: &[Ban] = &[
    ("bless", "update (of a golden file)"),
    ("broker", "store, or backend for one implementation of it"),
    ("clerk", "the name of the client or fixture"),
    ("dice", "random, rng or entropy"),
    ("dose", "soak run, or size of the load"),
    ("fate", "outcome or result"),
    ("finals", "terminal jobs"),
    ("mailbox", "outbox or queue"),
    ("roster", "registry"),
    ("town", "cluster"),
];

/// Phrases of comments, texts and pages.
const PHRASES: &[Ban] = &[
    ("came of it", "the result"),
    ("what became of", "the result of"),
    ("hot truth", "store"),
    ("is told so", "receives the error"),
    ("nobody hears", "no process reads"),
];

/// Files that quote banned words, or that programs write.
const EXEMPT: &[&str] =
    &["xtask/src/tidy/words.rs", "xtask/src/tidy/words/tests.rs", "CHANGELOG.md"];

/// Words in stored names: a folder, the word, and what it names there.
const STORED: &[(&str, &str, &str)] = &[("server/store-redis/", "finals", "a key in Redis")];

/// Commit subjects are checked from here on.
const SUBJECTS_SINCE: &str = "2026-12-01T13:00:00Z";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let sources = tree.sources.iter().filter(|source| !is_exempt(source));
    sources.flat_map(|source| find(&source.path, &source.text)).collect()
}

/// The subjects of recent commits. A checkout without a history has none.
pub(super) fn check_subjects() -> Vec<Problem> {
    let log = ["log", "--format=%h %s", "--since", SUBJECTS_SINCE];
    let subjects = shell::output(shell::command("git").args(log)).unwrap_or_default();
    let subjects = subjects.lines().filter_map(|line| line.split_once(' '));
    subjects.flat_map(|(commit, subject)| find(&format!("commit {commit}"), subject)).collect()
}

fn is_exempt(source: &Source) -> bool {
    source.is_generated() || EXEMPT.contains(&source.path.as_str())
}

fn find(place: &str, text: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = split(line);
        let is_stored = |word: &str| {
            STORED.iter().any(|(dir, name, _)| place.starts_with(dir) && *name == word)
        };
        let banned = WORDS.iter().filter(|(word, _)| words.iter().any(|found| found == word));
        let banned = banned.filter(|(word, _)| !is_stored(word));
        let plain = words.join(" ");
        let phrases = PHRASES.iter().filter(|(phrase, _)| contains(&plain, phrase));
        found.extend(banned.chain(phrases).map(|(word, instead)| {
            let place = format!("{place}:{}", number + 1);
            Problem::failure(place, format!("says \"{word}\"; write {instead}"))
        }));
    }
    found
}

/// Whether the words of a phrase stand in a line of words.
fn contains(line: &str, phrase: &str) -> bool {
    format!(" {line} ").contains(&format!(" {phrase} "))
}

/// The words of a line in lower case; `WorkerRoster` and `worker_roster` are two words each.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in line.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            let last = words.last_mut().expect("there is always a last word");
            last.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests;
