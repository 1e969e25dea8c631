//! Splitting of chunks of any size.

use super::*;

fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = LineBuffer::default();
    for chunk in chunks {
        lines.push(chunk, |line| found.push(line.to_owned()));
    }
    lines.finish(|line| found.push(line.to_owned()));
    found
}

#[test]
fn lines_do_not_depend_on_chunk_sizes() {
    let text = "one\r\n\ntwo é\nno end".as_bytes();
    let expected = ["one", "", "two é", "no end"];
    for size in 1..=text.len() {
        let chunks: Vec<&[u8]> = text.chunks(size).collect();
        assert_eq!(lines_of(&chunks), expected, "chunks of {size}");
    }
    assert!(lines_of(&[]).is_empty());
}

#[test]
fn a_long_line_is_split_at_a_character_boundary() {
    let text = "é".repeat(MAX_LINE_BYTES);
    for size in [1, 1000, 16 * 1024] {
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        let lines = lines_of(&chunks);
        assert_eq!(lines.concat(), text, "chunks of {size}");
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE_BYTES));
    }
}

#[test]
fn invalid_utf8_is_replaced() {
    assert_eq!(lines_of(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
    let lines = lines_of(&[&vec![0x80; 3 * MAX_LINE_BYTES]]);
    assert_eq!(lines.iter().map(|line| line.chars().count()).sum::<usize>(), 3 * MAX_LINE_BYTES);
}
