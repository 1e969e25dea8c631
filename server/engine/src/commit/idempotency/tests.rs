//! Decoding of idempotency records from arbitrary bytes.

use sentinel_fuzz::{Target, within};

use super::*;

fn items() -> Vec<RecordedItem> {
    let error = ItemError {
        reason: "INVALID_FIELD".into(),
        message: "é is not allowed".into(),
        field: "specs[2].kind".into(),
    };
    vec![Ok((JobId::from_u128(7), false)), Ok((JobId::from_u128(8), true)), Err(error)]
}

const RESPONSE: Target = Target {
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    name: "idempotency_response",
    check: |bytes| {
        // The smallest item is an error without texts: 13 bytes.
        let limit = 1_024 + 64 * bytes.len();
        let Some(decoded) = within(limit, || decode_response(bytes)) else { return 0 };
        assert_eq!(encode_response(&decoded), bytes, "the encoding is unique");
        1 + decoded.len()
    },
    seeds: || {
        let all = encode_response(&items()).to_vec();
        let mut wrong_length = all.clone();
        let at = wrong_length.len() - "specs[2].kind".len() - 4;
        wrong_length[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        vec![("all-kinds", all), ("wrong-length", wrong_length), ("empty", Vec::new())]
    },
};

#[test]
fn responses_decode_as_encoded_and_arbitrary_bytes_do_not_panic() {
    RESPONSE.test();
    assert_eq!(decode_response(&encode_response(&items())), Some(items()));
}

#[test]
#[ignore = "runs long; run with cargo xtask soak"]
fn soak_idempotency_responses() {
    RESPONSE.soak(1);
}
