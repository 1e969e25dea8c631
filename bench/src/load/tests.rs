use super::{PAYLOAD_BYTES, number_of, spec};

#[test]
fn a_payload_has_its_size_and_gives_its_number_back() {
    for number in [0, 7, 999_999] {
        let spec = spec("k", number, 2);
        assert_eq!(spec.payload.len(), PAYLOAD_BYTES);
        assert_eq!(number_of(&spec.payload), Some(number as usize));
        assert_eq!(spec.labels.len(), 2);
    }
    assert_eq!(number_of(b"{}"), None);
}
