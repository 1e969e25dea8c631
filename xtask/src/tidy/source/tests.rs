//! The scanner on what Rust allows.

use super::*;

fn code(text: &str) -> String {
    blank(text).0
}

#[test]
fn blanks_comments_and_literals_and_keeps_the_lines() {
    let text = "a /* b /* c */ d */ e // f\n\"g\\\" // h\" i 'j' '\\'' k r#\"l\"m\"# n";
    let code = code(text);
    assert_eq!(code.len(), text.len());
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "e", "i", "k", "n"]);
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn keeps_lifetimes_and_raw_identifiers() {
    let text = "fn a<'b>(r#type: &'b str, c: char) { 'd: loop {} }";
    assert_eq!(code(text), text);
}

#[test]
fn blanks_bytes_wide_characters_and_escapes() {
    let words = code("x b'y' '\u{e9}' '\\u{1F600}' b\"z\" br#\"w\"# 'static end");
    let words: Vec<&str> = words.split_whitespace().collect();
    assert_eq!(words, ["x", "b", "b", "'static", "end"]);
}

#[test]
fn an_unclosed_literal_reaches_the_end() {
    for text in ["\"abc", "r#\"abc", "/* abc", "'\\", "\"\\"] {
        assert_eq!(code(text).len(), text.len(), "{text}");
    }
}

#[test]
fn finds_whole_words_only() {
    assert_eq!(find_all("tokio::spawn( my_spawn( task::spawn(", "spawn("), [7, 30]);
}

#[test]
fn knows_comments_from_strings() {
    let text = "a(); // one\nlet b = \"// two\"; /// three";
    let comments: Vec<&str> = blank(text).1.into_iter().map(|range| &text[range]).collect();
    assert_eq!(comments, ["// one", "/// three"]);
}
