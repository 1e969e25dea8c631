//! The text form of API keys and the rendered access rules.

use super::*;

#[test]
fn a_credential_parses_and_a_changed_byte_is_rejected() {
    let key = Credential::random();
    let text = key.reveal();
    assert_eq!(Credential::parse(text.as_bytes()).as_ref(), Some(&key));
    assert!(key.matches(&key.hash()) && !key.matches(&Credential::random().hash()));
    for at in 0..text.len() {
        for byte in [b'g', b'G', b'/', b':', b'`', b'A', 0, 0xff] {
            let mut changed = text.clone().into_bytes();
            if changed[at] != byte {
                changed[at] = byte;
                assert_ne!(Credential::parse(&changed).as_ref(), Some(&key), "{at} {byte}");
            }
        }
        assert_eq!(Credential::parse(&text.as_bytes()[..at]), None);
    }
    let shown = format!("{key:?}");
    assert!(!shown.contains(&text[21..]), "{shown}");
}

#[test]
fn the_security_document_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let text = std::fs::read_to_string(path).expect("docs/security.md");
    let (begin, end) = ("<!-- roles -->\n", "<!-- /roles -->");
    let (head, rest) = text.split_once(begin).expect("start marker of the table");
    let (_, tail) = rest.split_once(end).expect("end marker of the table");
    let fresh = format!("{head}{begin}{}{end}{tail}", to_markdown());
    if std::env::var_os("SENTINEL_UPDATE").is_some() {
        std::fs::write(path, &fresh).expect("docs/security.md is written");
        return;
    }
    assert_eq!(text, fresh, "docs/security.md is out of date: run the test with SENTINEL_UPDATE=1");
}
