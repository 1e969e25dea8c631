//! Remembered answers of any bytes.

use sentinel_fuzz::{Target, within};

use super::*;

fn answers() -> Vec<Answer> {
    let refused = ItemRefused {
        reason: "INVALID_FIELD".into(),
        message: "é is not allowed".into(),
        field: "specs[2].kind".into(),
    };
    vec![Ok((JobId::from_u128(7), false)), Ok((JobId::from_u128(8), true)), Err(refused)]
}

const ANSWER: Target = Target {
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    name: "request_answer",
    check: |bytes| {
        // The smallest item is a refusal without texts: 13 bytes.
        let budget = 1_024 + 64 * bytes.len();
        let Some(read) = within(budget, || decode(bytes)) else { return 0 };
        assert_eq!(encode(&read), bytes, "there is one way to write it");
        1 + read.len()
    },
    seeds: || {
        let all = encode(&answers()).to_vec();
        let mut lies = all.clone();
        let at = lies.len() - "specs[2].kind".len() - 4;
        lies[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        vec![("all-kinds", all), ("a-length-that-lies", lies), ("empty", Vec::new())]
    },
};

#[test]
fn remembered_answers() {
    ANSWER.test();
    assert_eq!(decode(&encode(&answers())), Some(answers()));
}

#[test]
#[ignore = "a long dose; run with cargo xtask soak"]
fn soak_remembered_answers() {
    ANSWER.soak(1);
}
