use super::*;

fn started(committed_offset: u64) -> IngestStarted {
    let refused = vec![refused(2), refused(committed_offset)];
    IngestStarted { committed_offset, window_items: 3, window_bytes: 100, refused }
}

fn refused(offset: u64) -> IngestRefused {
    IngestRefused { offset, ..IngestRefused::default() }
}

fn spec(bytes: usize) -> Option<JobSpec> {
    // Field number and length take two bytes.
    Some(JobSpec { payload: vec![7; bytes - 2].into(), ..JobSpec::default() })
}

fn committed(committed_offset: u64) -> IngestCommitted {
    IngestCommitted { committed_offset, refused: vec![refused(committed_offset)] }
}

#[test]
fn a_full_window_accepts_items_after_a_commit() {
    let mut window = Window::new(started(5));
    assert_eq!(window.push(&mut spec(60)), Some(6));
    let mut large = spec(41);
    assert_eq!(window.push(&mut large), None);
    assert!(large.is_some(), "an item that does not fit stays with its caller");
    assert_eq!(window.push(&mut spec(40)), Some(7));
    assert_eq!(window.commit(committed(6), 7).expect("item 6 was sent"), 60);
    assert_eq!(window.push(&mut spec(10)), Some(8));
    assert_eq!(window.push(&mut spec(10)), Some(9));
    assert_eq!(window.push(&mut spec(10)), None, "the window holds three items");
    assert_eq!(window.commit(committed(9), 9).expect("item 9 was sent"), 60);
    assert_eq!(window.push(&mut spec(120)), Some(10), "a single item may exceed the limit");
    assert_eq!(window.take_refused().0, [2, 5, 6, 9].map(refused));
    assert_eq!(window.take_refused(), (Vec::new(), 4));
}

#[test]
fn a_commit_of_unsent_items_is_a_protocol_error() {
    let mut window = Window::new(started(5));
    window.push(&mut spec(10));
    assert!(window.commit(committed(6), 5).is_err());
    assert!(window.commit(committed(4), 6).is_err());
    assert!(window.commit(committed(6), 6).is_ok());
}

#[test]
fn a_reconnect_resumes_at_the_offset_of_the_server() {
    let mut window = Window::new(started(5));
    for _ in 0..3 {
        window.push(&mut spec(10));
    }
    window.resume(started(7)).expect("two of the three items are committed");
    assert_eq!((window.committed(), window.last()), (7, 8));
    // Refusals up to offset 5 were reported before and are not added again.
    assert_eq!(window.take_refused().0, [2, 5, 7].map(refused));
    assert!(window.item(7, 0).is_none());
    assert_eq!(window.item(8, 0).map(|(item, bytes)| (item.offset, bytes)), Some((8, 10)));
    assert!(window.item(9, 10).is_none());
    let error = window.resume(started(6)).expect_err("7 was acknowledged");
    let expected = Error::ProducerOffsetLost { committed: 7, server_offset: 6 };
    assert_eq!(error, expected);
    let error = window.resume(started(9)).expect_err("8 is the last item");
    let expected = Error::ProducerOffsetAhead { sent: 8, server_offset: 9 };
    assert_eq!(error, expected);
}

#[test]
fn a_smaller_window_after_a_reconnect_delays_existing_items() {
    let mut window = Window::new(started(5));
    for _ in 0..3 {
        window.push(&mut spec(10));
    }
    window.resume(IngestStarted { window_items: 1, ..started(5) }).expect("resumes");
    assert!(window.item(6, 0).is_some());
    assert!(window.item(7, 10).is_none());
}

#[test]
fn the_number_of_stored_refusals_is_limited() {
    let mut window = Window::new(started(5));
    window.add_refused((0..MAX_REFUSED as u64 + 5).map(refused).collect());
    let (kept, count) = window.take_refused();
    assert_eq!((kept.len(), count), (MAX_REFUSED, MAX_REFUSED as u64 + 7));
    assert_eq!(kept[0], refused(5));
}
