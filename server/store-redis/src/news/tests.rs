use bytes::BufMut;

use super::*;

const SESSION: u128 = 7;

/// A message to one server with a job, and then something of another sort.
fn message(sort: u8, rest: &[u8]) -> Bytes {
    let mut bytes = Vec::new();
    bytes.put_u64(3);
    bytes.put_u8(b'j');
    bytes.put_u128(SESSION);
    bytes.put_u128(9);
    bytes.put_u8(sort);
    bytes.put_slice(rest);
    bytes.into()
}

#[test]
fn news_of_an_unknown_sort_are_a_reason_to_look_at_all() {
    let known = to_one(message(b's', &SESSION.to_be_bytes())).expect("is read");
    assert_eq!((known.jobs.len(), known.sessions.len(), known.is_cut), (1, 1, false));
    let newer = to_one(message(b'x', b"??")).expect("is read");
    assert_eq!((newer.number, newer.jobs.len(), newer.is_cut), (3, 1, true));
    let board = Board::default();
    board.to_one(newer);
    let news = board.take().expect("there are news");
    assert!(news.is_incomplete);
    assert_eq!(news.jobs, [(SessionId::from_u128(SESSION), JobId::from_u128(9))]);
}
