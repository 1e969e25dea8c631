use super::*;

fn memory(n: u64, answer: &Bytes) -> IdempotencyRecord {
    let until = 1_000 + n as Millis;
    IdempotencyRecord { id: n.to_string().into(), content_hash: n, response: answer.clone(), expires_at: until }
}

fn is_known(requests: &Requests, n: u64) -> bool {
    !matches!(requests.recall(&memory(n, &Bytes::new()), 0), Recall::Unknown)
}

/// Remembers one more than `max`, sweeping as the store does, and finds all but the oldest.
fn beyond(max: u64, answer: &Bytes) {
    let mut requests = Requests::default();
    for n in 0..max {
        requests.remember(&memory(n, answer));
        requests.sweep(0, 1);
    }
    assert!(is_known(&requests, 0), "at the limit all are there");
    requests.remember(&memory(max, answer));
    requests.sweep(0, 1_000);
    assert!(!is_known(&requests, 0) && is_known(&requests, 1) && is_known(&requests, max));
}

#[test]
fn the_oldest_requests_are_forgotten() {
    beyond(limits::IDEMPOTENCY_RECORDS_MAX, &Bytes::new());
}

#[test]
fn the_oldest_answers_are_forgotten() {
    let answer = Bytes::from(vec![0; 1 << 20]);
    beyond(limits::IDEMPOTENCY_BYTES >> 20, &answer);
    let mut requests = Requests::default();
    for _ in 0..3 {
        requests.remember(&memory(7, &answer));
        assert_eq!(
            requests.answer_bytes,
            1 << 20,
            "a newer answer takes the place of its older one"
        );
    }
    requests.sweep(2_000, 10);
    assert_eq!((requests.answer_bytes, is_known(&requests, 7)), (0, false));
}
