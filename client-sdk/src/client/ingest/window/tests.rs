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

fn told(committed_offset: u64) -> IngestCommitted {
    IngestCommitted { committed_offset, refused: vec![refused(committed_offset)] }
}

#[test]
fn items_wait_for_room_and_leave_when_they_are_committed() {
    let mut window = Window::new(started(5));
    assert_eq!(window.push(&mut spec(60)), Some(6));
    let mut large = spec(41);
    assert_eq!(window.push(&mut large), None);
    assert!(large.is_some(), "what has no place stays with its owner");
    assert_eq!(window.push(&mut spec(40)), Some(7));
    assert_eq!(window.commit(told(6), 7).expect("was sent"), 60);
    assert_eq!(window.push(&mut spec(10)), Some(8));
    assert_eq!(window.push(&mut spec(10)), Some(9));
    assert_eq!(window.push(&mut spec(10)), None, "three are the most");
    assert_eq!(window.commit(told(9), 9).expect("was sent"), 60);
    assert_eq!(window.push(&mut spec(120)), Some(10), "a single one may be larger");
    assert_eq!(window.take_refused().0, [2, 5, 6, 9].map(refused));
    assert_eq!(window.take_refused(), (Vec::new(), 4));
}

#[test]
fn only_what_was_sent_can_be_committed() {
    let mut window = Window::new(started(5));
    window.push(&mut spec(10));
    assert!(window.commit(told(6), 5).is_err());
    assert!(window.commit(told(4), 6).is_err());
    assert!(window.commit(told(6), 6).is_ok());
}

#[test]
fn a_new_stream_goes_on_where_the_server_stands() {
    let mut window = Window::new(started(5));
    for _ in 0..3 {
        window.push(&mut spec(10));
    }
    window.resume(started(7)).expect("two of the three");
    assert_eq!((window.committed(), window.last()), (7, 8));
    // What was told before is not told again, what was not is.
    assert_eq!(window.take_refused().0, [2, 5, 7].map(refused));
    assert!(window.item(7, 0).is_none());
    assert_eq!(window.item(8, 0).map(|(item, bytes)| (item.offset, bytes)), Some((8, 10)));
    assert!(window.item(9, 10).is_none());
    let lost = window.resume(started(6)).expect_err("it was at 7");
    assert!(matches!(lost, Error::ProducerOffsetLost { committed: 7, server_offset: 6 }), "{lost}");
    let ahead = window.resume(started(9)).expect_err("8 is the last");
    assert!(matches!(ahead, Error::ProducerOffsetAhead { sent: 8, server_offset: 9 }), "{ahead}");
}

#[test]
fn a_smaller_window_holds_back_what_was_taken_before() {
    let mut window = Window::new(started(5));
    for _ in 0..3 {
        window.push(&mut spec(10));
    }
    window.resume(IngestStarted { window_items: 1, ..started(5) }).expect("goes on");
    assert!(window.item(6, 0).is_some());
    assert!(window.item(7, 10).is_none());
}

#[test]
fn refusals_that_nobody_takes_are_bounded() {
    let mut window = Window::new(started(5));
    window.refuse((0..REFUSED_MAX as u64 + 5).map(refused).collect());
    let (kept, count) = window.take_refused();
    assert_eq!((kept.len(), count), (REFUSED_MAX, REFUSED_MAX as u64 + 7));
    assert_eq!(kept[0], refused(5));
}
