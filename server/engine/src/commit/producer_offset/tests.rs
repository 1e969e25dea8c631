use super::*;

type Item = Result<(), ItemError>;

fn error(message: &str) -> ItemError {
    ItemError { reason: "R".into(), message: message.into(), field: "spec.kind".into() }
}

fn state(offset: ProducerOffset) -> ProducerState {
    ProducerState { id: "p".into(), stored: None, offset, min_level: Ack::Store }
}

#[test]
fn an_offset_decodes_as_encoded_and_every_truncation_is_an_error() {
    let rejected = [RejectedItem { offset: 7, error: error("é") }];
    for level in [Ack::Store, Ack::Replicated, Ack::Ledger] {
        let offset =
            ProducerOffset { stream: 3, committed: 9, level, rejected: rejected.clone().into() };
        let bytes = offset.encode();
        assert_eq!(ProducerOffset::decode(&bytes).expect("valid"), offset);
        // The first 18 bytes are a valid offset without rejections.
        for len in (0..bytes.len()).filter(|len| *len != 18) {
            assert!(ProducerOffset::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }
    for header in [[2, 0], [1, 3], [0, 0]] {
        let mut bytes = ProducerOffset::default().encode().to_vec();
        bytes[..2].copy_from_slice(&header);
        assert!(ProducerOffset::decode(&bytes).is_err(), "{header:?}");
    }
}

#[test]
fn rejections_are_truncated_and_kept_for_a_window() {
    let long = "é".repeat(MESSAGE_BYTES);
    let items: [Item; 1] = [Err(error(&long))];
    let one = state(ProducerOffset::default()).after(&items, Ack::Store);
    assert_eq!((one.committed, one.rejected.len()), (1, 1));
    assert_eq!(one.rejected[0].error.message.len(), MESSAGE_BYTES);
    let many: Vec<Item> = vec![Err(error("")); INGEST_WINDOW_ITEMS as usize - 1];
    let full = state(one).after(&many, Ack::Store);
    assert_eq!((full.rejected.len(), full.rejected[0].offset), (1_000, 1));
    let items: [Item; 2] = [Err(error("")), Err(error(""))];
    let next = state(full).after(&items, Ack::Store);
    assert_eq!((next.rejected.len(), next.rejected[0].offset), (1_000, 3));
    assert_eq!(next.rejected.back().map(|rejected| rejected.offset), Some(1_002));
}
