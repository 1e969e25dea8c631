//! A store that does to its callers all that the port allows: replies that are lost, a store
//! that is away, full or slow, a competitor that is always first. Around any home of the port.
//!
//! It breaks no promise itself. So whoever stands on the port must stand on this, too, and
//! a writer that repeats its number sees the same answers as without it.

mod layer;
mod script;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::conformance::make::Writer;
use crate::{ServerId, Store};
pub use script::{Odds, Script};

/// What may happen to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It is applied, its reply is lost: [`crate::StoreError::Unknown`].
    LostReply,
    /// It never arrives, and that is not known either: [`crate::StoreError::Unknown`].
    LostCall,
    /// Nothing is applied: [`crate::StoreError::Unavailable`].
    Unavailable,
    /// No room for new jobs: [`crate::StoreError::Full`]. A call without them passes.
    Full,
    /// Every live job that the call depends on by its version is changed just before, in
    /// nothing but its version: each such group meets a conflict.
    Competitor,
    /// The call waits on its way there.
    SlowCall(Duration),
    /// It is applied at once, its reply waits.
    SlowReply(Duration),
}

/// A store behind faults.
pub struct Faulty {
    inner: Arc<dyn Store>,
    /// Met by commits.
    pub commits: Script,
    /// Met by everything else that answers. What is not a reply is told as `Unavailable`.
    pub reads: Script,
    is_cut: watch::Sender<bool>,
    is_held: watch::Sender<bool>,
    /// The last number that each writer got applied: a repeat of it is never told that there
    /// was no room.
    applied: Mutex<HashMap<ServerId, u64>>,
    /// The competitor: its calls are numbered like those of any writer.
    competitor: tokio::sync::Mutex<Writer>,
}

/// No server of a test has this number.
const COMPETITOR: u64 = u64::MAX;

impl Faulty {
    /// No faults until a script has some.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            commits: Script::default(),
            reads: Script::default(),
            is_cut: watch::Sender::new(false),
            is_held: watch::Sender::new(false),
            applied: Mutex::default(),
            competitor: tokio::sync::Mutex::new(Writer::new(COMPETITOR)),
        }
    }

    /// The store behind the faults, as another caller may have it.
    pub fn inner(&self) -> Arc<dyn Store> {
        self.inner.clone()
    }

    /// The caller dies, as the store sees it: whatever has not arrived never will, and no
    /// call is answered any more, those on their way included.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// From now on commits wait on their way there, until they are let go.
    pub fn hold(&self) {
        self.is_held.send_replace(true);
    }

    pub fn let_go(&self) {
        self.is_held.send_replace(false);
    }

    fn applied(&self) -> MutexGuard<'_, HashMap<ServerId, u64>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Faults met so far, commits and reads.
    pub fn met(&self) -> u64 {
        self.commits.met() + self.reads.met()
    }

    /// No more faults of any kind; what was cut stays cut.
    pub fn heal(&self) {
        self.commits.heal();
        self.reads.heal();
    }
}
