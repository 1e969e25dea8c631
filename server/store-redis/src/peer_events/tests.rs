use bytes::BufMut;

use super::*;

const SESSION: u128 = 7;

/// A direct message with a job, followed by a part of another kind.
fn message(kind: u8, rest: &[u8]) -> Bytes {
    let mut bytes = Vec::new();
    bytes.put_u64(3);
    bytes.put_u8(b'j');
    bytes.put_u128(SESSION);
    bytes.put_u128(9);
    bytes.put_u8(kind);
    bytes.put_slice(rest);
    bytes.into()
}

#[test]
fn an_event_of_unknown_kind_marks_the_events_incomplete() {
    let known = decode_direct(message(b's', &SESSION.to_be_bytes())).expect("decoded");
    assert_eq!((known.jobs.len(), known.sessions.len(), known.is_incomplete), (1, 1, false));
    let newer = decode_direct(message(b'x', b"??")).expect("decoded");
    assert_eq!((newer.number, newer.jobs.len(), newer.is_incomplete), (3, 1, true));
    let queue = PeerEventQueue::default();
    queue.add_direct(newer);
    let events = queue.take().expect("there are events");
    assert!(events.is_incomplete);
    assert_eq!(events.jobs, [(SessionId::from_u128(SESSION), JobId::from_u128(9))]);
}
