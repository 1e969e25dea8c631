//! The text of keys, and the document of the rules.

use super::*;

#[test]
fn a_key_reads_back_and_nothing_near_it_does() {
    let key = Credential::random();
    let text = key.reveal();
    assert_eq!(Credential::parse(text.as_bytes()).as_ref(), Some(&key));
    assert!(key.fits(&key.hash()) && !key.fits(&Credential::random().hash()));
    for at in 0..text.len() {
        for byte in [b'g', b'G', b'/', b':', b'`', b'A', 0, 0xff] {
            let mut near = text.clone().into_bytes();
            if near[at] != byte {
                near[at] = byte;
                assert_ne!(Credential::parse(&near).as_ref(), Some(&key), "{at} {byte}");
            }
        }
        assert_eq!(Credential::parse(&text.as_bytes()[..at]), None);
    }
    let shown = format!("{key:?}");
    assert!(!shown.contains(&text[21..]), "{shown}");
}

#[test]
fn the_document_has_the_table_of_rules() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let text = std::fs::read_to_string(path).expect("docs/security.md");
    let (begin, end) = ("<!-- roles -->\n", "<!-- /roles -->");
    let (head, rest) = text.split_once(begin).expect("the mark before the table");
    let (_, tail) = rest.split_once(end).expect("the mark after the table");
    let fresh = format!("{head}{begin}{}{end}{tail}", to_markdown());
    if std::env::var_os("SENTINEL_UPDATE").is_some() {
        std::fs::write(path, &fresh).expect("written");
        return;
    }
    assert_eq!(text, fresh, "stale: run the test with SENTINEL_UPDATE=1");
}
