//! Decoding within bounds. A message of nothing but empty items is small on the wire and
//! some hundred times as large in memory: 20 MiB of them would be gigabytes. So the items of
//! such fields are counted before anything is made of them. The bounds are far above what
//! services take; those name the field and its range.

use std::any::TypeId;
use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::jobs::v1::{
    CountsRequest, EnqueueBatchRequest, EnqueueRequest, IngestRequest, IngestResponse, ListRequest,
    WatchRequest,
};
use crate::workers::v1::{SessionRequest, SessionResponse};

/// The numbers of a field and of those around it, and how many items a message may have there.
type Bound = (&'static [u32], usize);

const ENQUEUE: &[Bound] = &[(&[1, 11], 100_000), (&[1, 13], 100_000)];
const ENQUEUE_BATCH: &[Bound] = &[(&[1], 10_000), (&[1, 11], 200_000), (&[1, 13], 200_000)];
const INGEST: &[Bound] = &[(&[2, 2, 11], 100_000), (&[2, 2, 13], 100_000)];
const INGEST_ANSWER: &[Bound] = &[(&[1, 4], 10_000), (&[2, 2], 10_000)];
const LIST: &[Bound] = &[(&[1, 1], 100_000), (&[1, 2], 100_000), (&[1, 4], 100_000)];
const COUNTS: &[Bound] = &[(&[1], 100_000)];
const WATCH: &[Bound] =
    &[(&[1, 1], 100_000), (&[2, 1], 100_000), (&[2, 2], 100_000), (&[2, 4], 100_000)];
/// Queues, kinds, labels and held leases of Hello; reports, progress, log lines, acknowledged
/// cancels.
const SESSION: &[Bound] = &[
    (&[1, 3], 10_000),
    (&[1, 4], 10_000),
    (&[1, 5], 10_000),
    (&[1, 6], 10_000),
    (&[1, 8], 250_000),
    (&[4, 1], 10_000),
    (&[5, 1], 10_000),
    (&[7, 2], 10_000),
    (&[8, 1], 10_000),
];
/// Assignments, verdicts, cancels, pongs with cancels, revoked leases; verdicts of Welcome
/// are packed.
const SESSION_ANSWER: &[Bound] = &[
    (&[2, 2], 10_000),
    (&[3, 1], 100_000),
    (&[6, 1], 100_000),
    (&[7, 2], 100_000),
    (&[8, 1], 250_000),
];

fn bounds_of<U: 'static>() -> &'static [Bound] {
    let of = TypeId::of::<U>();
    let known = [
        (TypeId::of::<EnqueueRequest>(), ENQUEUE),
        (TypeId::of::<EnqueueBatchRequest>(), ENQUEUE_BATCH),
        (TypeId::of::<IngestRequest>(), INGEST),
        (TypeId::of::<IngestResponse>(), INGEST_ANSWER),
        (TypeId::of::<ListRequest>(), LIST),
        (TypeId::of::<CountsRequest>(), COUNTS),
        (TypeId::of::<WatchRequest>(), WATCH),
        (TypeId::of::<SessionRequest>(), SESSION),
        (TypeId::of::<SessionResponse>(), SESSION_ANSWER),
    ];
    known.into_iter().find(|(known, _)| *known == of).map_or(&[], |(_, bounds)| bounds)
}

/// The protobuf codec of every service here.
#[derive(Debug, Clone)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstDecoder::default())
    }
}

/// Counts, then decodes.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default + 'static> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // All of a message is in one piece here.
        check::<U>(source.chunk())?;
        self.0.decode(source)
    }
}

/// Refuses what would be many times as large in memory.
///
/// # Errors
/// INVALID_ARGUMENT, with the numbers of the field.
pub fn check<U: 'static>(message: &[u8]) -> Result<(), Status> {
    for (path, max) in bounds_of::<U>() {
        let items = count(message, path);
        if items > *max {
            let text = format!("field {path:?} has {items} items: a message has at most {max}");
            return Err(Status::invalid_argument(text));
        }
    }
    Ok(())
}

/// Occurrences of a field. Of what is no message it counts the part that reads like one.
fn count(mut message: &[u8], path: &[u32]) -> usize {
    let Some((wanted, inner)) = path.split_first() else { return 0 };
    let mut found = 0;
    while let Some((number, content)) = field(&mut message) {
        match content {
            Some(content) if number == u64::from(*wanted) => {
                found += if inner.is_empty() { 1 } else { count(content, inner) };
            }
            _ => {}
        }
    }
    found
}

/// The next field: its number, and its bytes where it has a length. None at the end, and
/// where the decoder will find fault.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = varint(message)?;
    let content = match key & 7 {
        0 => {
            varint(message)?;
            None
        }
        1 => skip(message, 8)?,
        2 => {
            let len = usize::try_from(varint(message)?).ok()?;
            let (content, rest) = message.split_at_checked(len)?;
            *message = rest;
            Some(content)
        }
        5 => skip(message, 4)?,
        // A group is of no message here; what follows one is still to be counted.
        3 | 4 => None,
        _ => return None,
    };
    Some((key >> 3, content))
}

fn skip<'a>(message: &mut &'a [u8], len: usize) -> Option<Option<&'a [u8]>> {
    *message = message.get(len..)?;
    Some(None)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
