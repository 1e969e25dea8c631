//! What a request_id was answered, for as long as a repeat of it may come.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::HashMap;
use sentinel_domain::{Millis, limits};
use sentinel_store::IdempotencyRecord;

struct Memory {
    content_hash: u64,
    answer: Bytes,
    until: Millis,
    order: u64,
}

/// What a remembered request says to another one under its id.
pub(crate) enum Recall {
    Unknown,
    Answered(Bytes),
    OtherContent,
}

/// Answers by request_id, at most [`limits::IDEMPOTENCY_RECORDS_MAX`] of [`limits::IDEMPOTENCY_BYTES`]: the
/// answer to a batch has a line for each of its jobs.
#[derive(Default)]
pub(crate) struct Requests {
    by_id: HashMap<Arc<str>, Memory>,
    by_end: BTreeMap<(Millis, u64), Arc<str>>,
    next_order: u64,
    answer_bytes: u64,
}

impl Requests {
    pub(crate) fn recall(&self, request: &IdempotencyRecord, now: Millis) -> Recall {
        match self.by_id.get(&*request.id) {
            Some(memory) if memory.until <= now => Recall::Unknown,
            Some(memory) if memory.content_hash == request.content_hash => {
                Recall::Answered(memory.answer.clone())
            }
            Some(_) => Recall::OtherContent,
            None => Recall::Unknown,
        }
    }

    /// What was answered under the id and is not over.
    pub(crate) fn answer(&self, id: &str, now: Millis) -> Option<&Bytes> {
        let memory = self.by_id.get(id).filter(|memory| memory.until > now)?;
        Some(&memory.answer)
    }

    /// Gives back what it takes the place of.
    pub(crate) fn remember(&mut self, request: &IdempotencyRecord) -> Option<IdempotencyRecord> {
        let old = self.forget(&request.id);
        let id: Arc<str> = Arc::from(&*request.id);
        let order = self.next_order;
        self.next_order += 1;
        self.by_end.insert((request.expires_at, order), id.clone());
        let IdempotencyRecord { content_hash, expires_at: until, .. } = *request;
        self.answer_bytes += request.response.len() as u64;
        self.by_id
            .insert(id, Memory { content_hash, answer: request.response.clone(), until, order });
        old
    }

    /// By their end.
    pub(crate) fn all(&self) -> Vec<IdempotencyRecord> {
        let memory = |id: &Arc<str>| {
            let Memory { content_hash, answer, until, .. } = self.by_id.get(id)?;
            let (content_hash, answer, until) = (*content_hash, answer.clone(), *until);
            Some(IdempotencyRecord { id: (&**id).into(), content_hash, response: answer, expires_at: until })
        };
        self.by_end.values().filter_map(memory).collect()
    }

    pub(crate) fn forget(&mut self, id: &str) -> Option<IdempotencyRecord> {
        let Memory { content_hash, answer, until, order } = self.by_id.remove(id)?;
        self.by_end.remove(&(until, order));
        self.answer_bytes -= answer.len() as u64;
        Some(IdempotencyRecord { id: id.into(), content_hash, response: answer, expires_at: until })
    }

    /// Forgets at most `limit` of what is over or too much.
    pub(crate) fn sweep(&mut self, now: Millis, limit: usize) {
        for _ in 0..limit {
            let Some(first) = self.by_end.first_entry() else { return };
            let is_over = first.key().0 <= now;
            let fits = self.by_id.len() as u64 <= limits::IDEMPOTENCY_RECORDS_MAX
                && self.answer_bytes <= limits::IDEMPOTENCY_BYTES;
            if !is_over && fits {
                return;
            }
            let id = first.get().clone();
            self.forget(&id);
        }
    }
}

#[cfg(test)]
mod tests;
