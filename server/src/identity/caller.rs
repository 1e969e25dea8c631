//! Who made a call, as its handler sees it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use sentinel_domain::limits::KEY_BYTES;
use sentinel_domain::{Job, JobId, Scopes};
use sentinel_engine::{Engine, EngineError, RequestKey};
use sentinel_store::content_hash;
use tonic::{Request, Status};

use super::keyring::Held;
use crate::service::status;

/// Who made a call. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// None on a server that asks for no credentials.
    pub(super) held: Option<Arc<Held>>,
    pub(super) peer: Option<IpAddr>,
    /// Where somebody will look at it.
    pub(super) note: Option<Arc<Note>>,
}

/// What a handler says about a call.
#[derive(Debug, Default)]
pub(super) struct Note {
    /// It asked which queues are within.
    pub(super) has_asked: AtomicBool,
    pub(super) about: OnceLock<About>,
}

#[derive(Debug)]
pub(super) struct About {
    pub(super) target: String,
    pub(super) request_id: String,
    pub(super) acts_for: String,
}

impl Caller {
    /// Of a call that came through the layer.
    ///
    /// # Errors
    /// As for a call without a credential, when it did not.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(status::credential_missing)
    }

    /// The queues that the caller reaches. Whoever asks uses the answer.
    pub(crate) fn scopes(&self) -> &Scopes {
        if let Some(note) = &self.note {
            note.has_asked.store(true, Ordering::Relaxed);
        }
        self.held.as_ref().map_or(&Scopes::ALL, |held| &held.key.scopes)
    }

    /// Keys that do not reach all queues share neither producers nor request ids with others: who
    /// takes those of another one would keep its jobs from being made.
    pub(crate) fn realm(&self) -> Option<u64> {
        let scopes = &self.held.as_ref()?.key.scopes;
        if scopes.is_all() {
            return None;
        }
        let mut patterns: Vec<&str> = scopes.patterns().iter().map(|name| &**name).collect();
        patterns.sort_unstable();
        // No name has a comma.
        Some(content_hash(patterns.join(",").as_bytes()))
    }

    /// A request as its realm knows it.
    pub(crate) fn own(&self, request: Option<RequestKey>) -> Option<RequestKey> {
        let Some(realm) = self.realm() else { return request };
        request.map(|key| RequestKey { id: format!("{realm:016x}/{}", key.id), ..key })
    }

    /// Refuses a queue that the call names and the caller does not reach. The answer is the
    /// same whether there is such a queue or not.
    pub(crate) fn may_use(&self, queue: &str) -> Result<(), Status> {
        if self.scopes().has(queue) { Ok(()) } else { Err(status::queue_not_allowed(queue)) }
    }

    /// Refuses a job of another queue as if there were none: an id tells nothing.
    pub(crate) async fn may_see(&self, engine: &Engine, id: JobId) -> Result<(), Status> {
        if self.scopes().is_all() {
            return Ok(());
        }
        // A job never changes its queue, so what is found here holds for the call.
        match engine.get(id).await {
            Ok(job) if self.sees(&job) => Ok(()),
            Ok(_) => Err(status::answer(EngineError::JobNotFound(id))),
            // A deletion that is asked for once more finds none, and is answered.
            Err(EngineError::JobNotFound(_)) => Ok(()),
            Err(error) => Err(status::answer(error)),
        }
    }

    /// Whether a job is in a queue that the caller reaches.
    pub(crate) fn sees(&self, job: &Job) -> bool {
        self.scopes().has(&job.spec.queue)
    }

    /// The actor of what the caller does, given whom it says it acts for.
    pub(crate) fn actor<'a>(&'a self, claimed: &'a str) -> Cow<'a, str> {
        match &self.held {
            None => Cow::Borrowed(claimed),
            Some(held) if claimed.is_empty() => Cow::Borrowed(&held.key.name),
            Some(held) => Cow::Owned(sentinel_domain::actor(&held.key.name, claimed)),
        }
    }

    /// For the audit trail.
    pub(crate) fn is_about(&self, target: &str, request_id: &str, acts_for: &str) {
        if let Some(note) = &self.note {
            let [target, request_id, acts_for] = [target, request_id, acts_for].map(noted);
            let about = About { target, request_id, acts_for };
            // The first word counts.
            let _ = note.about.set(about);
        }
    }

    /// When the key of the caller ends, with what it is told.
    pub(crate) async fn ended(&self) -> Status {
        let Some(held) = &self.held else { return std::future::pending().await };
        held.ended().cancelled().await;
        status::credential_ended(held.how_ended())
    }
}

/// A text of the caller as it is kept: it is not checked yet, may be of any length, and must not
/// look like a line of its own in a log.
fn noted(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(KEY_BYTES as usize)];
    kept.replace(char::is_control, " ")
}
