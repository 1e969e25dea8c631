use prost::Name;

use super::*;
use crate::jobs::v1::{
    BatchGetRequest, BulkRequest, EnqueueBatchRequest, GetRequest, JobFilter, JobSpec, ListRequest,
};
use crate::workers::v1::{
    Hello, Lease, Report, ReportItem, SessionRequest, session_request::Frame,
};

fn check<T: Name>(bytes: &[u8]) -> Result<(), TooManyItems> {
    Bounds::of(&T::full_name()).expect("a message of the contract").check(bytes)
}

fn batch(specs: usize) -> Vec<u8> {
    let specs = vec![JobSpec::default(); specs];
    EnqueueBatchRequest { specs, ..EnqueueBatchRequest::default() }.encode_to_vec()
}

fn report(items: usize) -> Vec<u8> {
    let report = Report { items: vec![ReportItem::default(); items] };
    SessionRequest { frame: Some(Frame::Report(report)) }.encode_to_vec()
}

/// Writes a field of a message around its content, given the path of field numbers to it.
fn nest(path: &[u32], content: Vec<u8>) -> Vec<u8> {
    path.iter().rev().fold(content, |content, number| {
        let mut bytes = Vec::new();
        prost::encoding::encode_key(
            *number,
            prost::encoding::WireType::LengthDelimited,
            &mut bytes,
        );
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    })
}

/// Lists the repeated fields below a message as paths of field numbers.
fn repeated_below(message: usize, path: &mut Vec<u32>, found: &mut Vec<(Vec<u32>, usize, Packed)>) {
    // No message contains itself.
    assert!(path.len() < 8, "{path:?}");
    for (number, field) in SCHEMA.messages[message].fields.iter().enumerate() {
        path.push(u32::try_from(number).unwrap());
        if let Some(index) = field.repeated {
            found.push((path.clone(), index, field.packed));
        }
        if let Some(inner) = field.message {
            repeated_below(inner, path, found);
        }
        path.pop();
    }
}

#[test]
fn every_repeated_field_of_every_request_is_bounded() {
    let mut checked = 0;
    let requests: Vec<(&String, usize)> = SCHEMA
        .by_name
        .iter()
        .map(|(name, index)| (name, *index))
        .filter(|(_, index)| SCHEMA.messages[*index].is_request)
        .collect();
    assert!(requests.len() > 30, "{}", requests.len());
    for (name, message) in requests {
        let mut fields = Vec::new();
        repeated_below(message, &mut Vec::new(), &mut fields);
        for (path, index, packed) in fields {
            let (field, max) = &SCHEMA.repeated[index];
            let with = |items: usize| {
                let (last, around) = path.split_last().unwrap();
                let items = match packed {
                    Packed::Never => nest(&[*last], Vec::new()).repeat(items),
                    Packed::Varint => nest(&[*last], vec![1; items]),
                    Packed::Fixed(size) => nest(&[*last], vec![0; size * items]),
                };
                nest(around, items)
            };
            assert_eq!(Bounds(message).check(&with(*max)), Ok(()), "{name}: {field}");
            let error = Bounds(message).check(&with(max + 1)).expect_err(field);
            assert_eq!((error.field, error.items, error.max), (field.as_str(), max + 1, *max));
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn exceptions_name_existing_fields() {
    for (name, _) in EXCEPTIONS {
        assert!(SCHEMA.repeated.iter().any(|(field, _)| field == name), "{name}");
    }
}

#[test]
fn items_are_counted_before_they_are_decoded() {
    assert_eq!(check::<EnqueueBatchRequest>(&batch(10_000)), Ok(()));
    let error = check::<EnqueueBatchRequest>(&batch(10_001)).expect_err("one too many");
    let text = "sentinel.jobs.v1.EnqueueBatchRequest.specs: 10001 items, at most 10000";
    assert_eq!(error.to_string(), text);
    let held = |items| {
        let hello = Hello { held: vec![Lease::default(); items], ..Hello::default() };
        SessionRequest { frame: Some(Frame::Hello(hello)) }.encode_to_vec()
    };
    let states = |items| JobFilter { states: vec![1; items], ..JobFilter::default() };
    let bulk = |items| {
        BulkRequest { filter: Some(states(items)), ..BulkRequest::default() }.encode_to_vec()
    };
    let list = |items| {
        ListRequest { filter: Some(states(items)), ..ListRequest::default() }.encode_to_vec()
    };
    let ids = |items| {
        BatchGetRequest { ids: vec![String::new(); items], ..BatchGetRequest::default() }
            .encode_to_vec()
    };
    assert!(check::<SessionRequest>(&held(250_000)).is_ok());
    assert!(check::<SessionRequest>(&held(250_001)).is_err());
    assert!(check::<BulkRequest>(&bulk(10_000)).is_ok());
    assert!(check::<BulkRequest>(&bulk(16 << 20)).is_err());
    assert!(check::<ListRequest>(&list(10_001)).is_err());
    assert!(check::<BatchGetRequest>(&ids(10_001)).is_err());
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
        assert!(EnqueueBatchRequest::decode(&hidden[..]).is_ok(), "prost accepts {before:?}");
        assert!(check::<EnqueueBatchRequest>(&hidden).is_err(), "after {before:?}");
    }
    let half = report(6_000);
    let twice = [&half[..], &half[..]].concat();
    assert!(check::<SessionRequest>(&half).is_ok() && check::<SessionRequest>(&twice).is_err());
    // A repeated scalar is counted in both of its forms.
    let one_by_one = nest(&[1], [0x18, 1].repeat(10_001));
    assert!(
        ListRequest::decode(&one_by_one[..])
            .is_ok_and(|list| { list.filter.is_some_and(|filter| filter.states.len() == 10_001) })
    );
    assert!(check::<ListRequest>(&one_by_one).is_err());
}

#[test]
fn bytes_that_are_no_message_are_left_to_the_decoder() {
    for bytes in [&[][..], &[0xff; 12], &[0x0a, 0xff, 0xff, 0xff, 0x7f], &[0x0a, 0x05, 0x00]] {
        assert!(check::<EnqueueBatchRequest>(bytes).is_ok());
    }
    assert!(check::<GetRequest>(&batch(20_000)).is_ok(), "it has no repeated field");
}
