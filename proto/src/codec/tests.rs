use super::*;
use crate::jobs::v1::{JobFilter, JobIds, JobSpec, watch_request::Selector};
use crate::workers::v1::{Hello, Lease, LogBatch, Report, ReportItem, session_request::Frame};

fn batch(specs: usize) -> Vec<u8> {
    let specs = vec![JobSpec::default(); specs];
    EnqueueBatchRequest { specs, ..EnqueueBatchRequest::default() }.encode_to_vec()
}

fn session(frame: Frame) -> Vec<u8> {
    SessionRequest { frame: Some(frame) }.encode_to_vec()
}

#[test]
fn items_are_counted_before_they_are_made() {
    assert!(check::<EnqueueBatchRequest>(&batch(10_000)).is_ok());
    let refused = check::<EnqueueBatchRequest>(&batch(10_001)).expect_err("one too many");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("10001 items"), "{}", refused.message());
    let report = |n| session(Frame::Report(Report { items: vec![ReportItem::default(); n] }));
    let held =
        |n| session(Frame::Hello(Hello { held: vec![Lease::default(); n], ..Hello::default() }));
    let lines = |n| {
        session(Frame::Log(LogBatch { lines: vec![Default::default(); n], ..Default::default() }))
    };
    for (good, bad) in [
        (report(10_000), report(10_001)),
        (held(250_000), held(250_001)),
        (lines(10_000), lines(10_001)),
    ] {
        assert!(check::<SessionRequest>(&good).is_ok() && check::<SessionRequest>(&bad).is_err());
    }
    let watch = |n: usize, by_ids: bool| {
        let ids = vec![String::new(); n];
        let selector = match by_ids {
            true => Selector::Jobs(JobIds { ids }),
            false => Selector::Filter(JobFilter { queues: ids, ..JobFilter::default() }),
        };
        WatchRequest { selector: Some(selector), ..WatchRequest::default() }.encode_to_vec()
    };
    for by_ids in [true, false] {
        assert!(check::<WatchRequest>(&watch(100_000, by_ids)).is_ok());
        assert!(check::<WatchRequest>(&watch(100_001, by_ids)).is_err());
    }
}

#[test]
fn nothing_hides_items_from_the_count() {
    // A group, fields of every other wire type, and a frame in two parts, which are merged.
    let before: &[&[u8]] = &[
        &[0x7b, 0x7c],
        &[0x78, 0xff, 0x01],
        &[0x79, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x7a, 0x01, 0x00],
        &[0x7d, 0, 0, 0, 0],
    ];
    for before in before {
        let hidden = [before, &batch(10_001)[..]].concat();
        assert!(EnqueueBatchRequest::decode(&hidden[..]).is_ok(), "prost takes {before:?}");
        assert!(check::<EnqueueBatchRequest>(&hidden).is_err(), "behind {before:?}");
    }
    let half = session(Frame::Report(Report { items: vec![ReportItem::default(); 6_000] }));
    let twice = [&half[..], &half[..]].concat();
    assert!(check::<SessionRequest>(&half).is_ok() && check::<SessionRequest>(&twice).is_err());
}

#[test]
fn bytes_that_are_no_message_are_left_to_the_decoder() {
    for bytes in [&[][..], &[0xff; 12], &[0x0a, 0xff, 0xff, 0xff, 0x7f], &[0x0a, 0x05, 0x00]] {
        assert!(check::<EnqueueBatchRequest>(bytes).is_ok());
    }
    assert!(check::<crate::jobs::v1::GetRequest>(&batch(20_000)).is_ok(), "it has no bounds");
}
