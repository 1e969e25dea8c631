use super::*;

fn why(message: &str) -> ItemRefused {
    ItemRefused { reason: "R".into(), message: message.into(), field: "spec.kind".into() }
}

fn standing(place: Place) -> Standing {
    Standing { id: "p".into(), known: None, place, least: Ack::Store }
}

#[test]
fn a_place_is_read_as_it_was_kept() {
    let refused = [RefusedItem { offset: 7, why: why("é") }];
    for level in [Ack::Store, Ack::Replicated, Ack::Ledger] {
        let place = Place { stream: 3, committed: 9, level, refused: refused.clone().into() };
        let bytes = place.encode();
        assert_eq!(Place::read(&bytes).expect("read"), place);
        // The place alone, without its refusals, is one too.
        for len in (0..bytes.len()).filter(|len| *len != 18) {
            assert!(Place::read(&bytes[..len]).is_err(), "{len} bytes");
        }
    }
    for other in [[2, 0], [1, 3], [0, 0]] {
        let mut bytes = Place::default().encode().to_vec();
        bytes[..2].copy_from_slice(&other);
        assert!(Place::read(&bytes).is_err(), "{other:?}");
    }
}

#[test]
fn refusals_are_kept_for_a_window_and_cut() {
    let long = "é".repeat(MESSAGE_BYTES);
    let one = standing(Place::default()).after(&[Err(why(&long))], Ack::Store);
    assert_eq!((one.committed, one.refused.len()), (1, 1));
    assert_eq!(one.refused[0].why.message.len(), MESSAGE_BYTES);
    let many = vec![Err(why("")); INGEST_WINDOW_ITEMS as usize - 1];
    let full = standing(one).after(&many, Ack::Store);
    assert_eq!((full.refused.len(), full.refused[0].offset), (1_000, 1));
    let next = standing(full).after(&[Err(why("")), Err(why(""))], Ack::Store);
    assert_eq!((next.refused.len(), next.refused[0].offset), (1_000, 3));
    assert_eq!(next.refused.back().map(|r| r.offset), Some(1_002));
}
