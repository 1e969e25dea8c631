//! A stream's place in the roster: two streams of one session follow each other, so that
//! what the end of one sets in motion never meets the beginning of the next.

use std::sync::Arc;

use sentinel_domain::SessionId;
use tokio_util::sync::CancellationToken;

use super::{Mailbox, Roster};
use crate::Engine;

/// A stream's place in the roster, until it is dropped.
pub(crate) struct Presence {
    engine: Engine,
    session: SessionId,
    mailbox: Arc<Mailbox>,
}

impl Presence {
    /// Takes the session over from its former stream, if there is one here: that one is
    /// told, and the token is cancelled when it has gone.
    pub(crate) fn take(
        engine: &Engine,
        session: SessionId,
    ) -> (Self, Arc<Mailbox>, Option<CancellationToken>) {
        let mailbox = Arc::new(Mailbox::default());
        let former = engine.roster.lock().mailboxes.insert(session, mailbox.clone());
        let former_left = former.map(|former| {
            former.fill(|inbox| inbox.is_superseded = true);
            former.left.clone()
        });
        (Self { engine: engine.clone(), session, mailbox: mailbox.clone() }, mailbox, former_left)
    }
}

impl Roster {
    /// Leaves, unless another stream has taken over.
    fn leave(&self, session: SessionId, mailbox: &Arc<Mailbox>) {
        let mut present = self.lock();
        if present.mailboxes.get(&session).is_some_and(|m| Arc::ptr_eq(m, mailbox)) {
            present.mailboxes.remove(&session);
        }
        present.orphans.extend(mailbox.take().assigned);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.engine.roster.leave(self.session, &self.mailbox);
        self.mailbox.left.cancel();
    }
}
