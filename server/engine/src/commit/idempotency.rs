//! Idempotency records: the response of a request, kept under its `request_id`.

use bytes::Bytes;
use sentinel_domain::JobId;
use sentinel_domain::limits::IDEMPOTENCY_TTL_MS;
use sentinel_store::{IdempotencyRecord, Precondition, Transaction, TransactionResult};

use super::Committer;
use crate::error::ItemError;
use crate::{Clock, EngineError, Rng};

/// The idempotency key of a request.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// The `request_id`.
    pub id: String,
    /// The hash of the request, by [`sentinel_store::content_hash`].
    pub content_hash: u64,
}

/// The recorded result of one item of a request: the job, and whether it existed before.
pub(crate) type RecordedItem = Result<(JobId, bool), ItemError>;

/// Writes and looks up idempotency records. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Idempotency {
    pub(crate) committer: Committer,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
}

impl Idempotency {
    /// Returns the record of a request, to be committed with its changes.
    pub(crate) fn record(&self, key: &IdempotencyKey, items: &[RecordedItem]) -> IdempotencyRecord {
        IdempotencyRecord {
            id: key.id.as_str().into(),
            content_hash: key.content_hash,
            response: encode_response(items),
            expires_at: self.clock.now() + IDEMPOTENCY_TTL_MS.cast_signed(),
        }
    }

    /// Returns the recorded response of a request, if there is one.
    ///
    /// It commits a transaction whose precondition never holds: the store answers it with the
    /// record or with a conflict, and changes nothing.
    pub(crate) async fn lookup(
        &self,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<Bytes>, EngineError> {
        let Some(key) = key else { return Ok(None) };
        let id = JobId::new(self.clock.now(), 0, self.rng.next_u64());
        let transaction = Transaction {
            idempotency: Some(self.record(key, &[])),
            preconditions: vec![Precondition::JobVersion { id, version: 0 }],
            mutations: Vec::new(),
        };
        match self.committer.submit(transaction).await? {
            TransactionResult::Replayed(response) => Ok(Some(response)),
            TransactionResult::IdempotencyKeyReused => Err(EngineError::RequestIdReused),
            TransactionResult::Committed | TransactionResult::Conflict(_) => Ok(None),
        }
    }

    /// Whether a request was carried out before, on this job.
    pub(crate) async fn is_recorded_for(
        &self,
        key: Option<&IdempotencyKey>,
        id: JobId,
    ) -> Result<bool, EngineError> {
        let response = self.lookup(key).await?;
        let items = response.and_then(|response| decode_response(&response));
        Ok(items.is_some_and(|items| items == [Ok((id, false))]))
    }
}

const JOB: u8 = 0;
const DEDUPLICATED: u8 = 1;
const REFUSED: u8 = 2;

fn encode_response(items: &[RecordedItem]) -> Bytes {
    let mut out = Vec::with_capacity(items.len() * 17);
    for item in items {
        match item {
            Ok((id, deduplicated)) => {
                out.push(if *deduplicated { DEDUPLICATED } else { JOB });
                out.extend(id.as_u128().to_be_bytes());
            }
            Err(error) => {
                out.push(REFUSED);
                for text in [&error.reason, &error.message, &error.field] {
                    out.extend((text.len() as u32).to_be_bytes());
                    out.extend(text.as_bytes());
                }
            }
        }
    }
    out.into()
}

/// Returns the recorded items, or None when the bytes are no valid response.
pub(crate) fn decode_response(mut bytes: &[u8]) -> Option<Vec<RecordedItem>> {
    let mut items = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        match *tag {
            JOB | DEDUPLICATED => {
                let id = u128::from_be_bytes(*read_array(&mut bytes)?);
                items.push(Ok((JobId::from_u128(id), *tag == DEDUPLICATED)));
            }
            REFUSED => {
                let (reason, message) = (read_text(&mut bytes)?, read_text(&mut bytes)?);
                let field = read_text(&mut bytes)?;
                items.push(Err(ItemError { reason, message, field }));
            }
            _ => return None,
        }
    }
    Some(items)
}

/// Splits `N` bytes off the front.
pub(super) fn read_array<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

/// Splits a text off the front that is preceded by its length as a big-endian `u32`.
pub(super) fn read_text(bytes: &mut &[u8]) -> Option<String> {
    let len = u32::from_be_bytes(*read_array(bytes)?) as usize;
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    String::from_utf8(head.to_vec()).ok()
}

#[cfg(test)]
mod tests;
