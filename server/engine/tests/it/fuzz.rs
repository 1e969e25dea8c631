//! Fuzz test of watch cursors, which clients may modify.

use sentinel_engine::{Cursor, EngineError};
use sentinel_fuzz::{Target, within};

const CURSOR: Target = Target {
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    name: "watch_cursor",
    check: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
        match within(1_024 + 4 * text.len(), || text.parse::<Cursor>()) {
            Ok(cursor) => {
                assert_eq!(cursor.to_string().parse::<Cursor>().ok(), Some(cursor));
                2
            }
            Err(EngineError::Invalid(found)) => {
                assert_eq!(found[0].field, "cursor");
                1
            }
            Err(error) => panic!("unexpected error: {error}"),
        }
    },
    seeds: || {
        let texts = [
            ("after-an-entry", "7-42"),
            ("inside-an-entry", "7-42.3"),
            ("largest", "18446744073709551615-18446744073709551615.18446744073709551615"),
            ("no-events", "7-42."),
            ("two-points", "7-42.3.4"),
            ("signed", "+7-+42.+3"),
        ];
        texts.map(|(name, text)| (name, text.as_bytes().to_vec())).to_vec()
    },
};

#[test]
fn watch_cursors() {
    CURSOR.test();
}

#[test]
#[ignore = "runs for minutes: cargo xtask soak"]
fn soak_watch_cursors() {
    CURSOR.soak(1);
}
