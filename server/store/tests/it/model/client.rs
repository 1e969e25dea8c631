//! The steps of callers.

use sentinel_domain::Command;
use sentinel_store::Precondition;
use sentinel_store::conformance::fixture;

use super::state::{ModelState, RequestState, Submission, Submitter, T0, TICK};

impl ModelState {
    pub(crate) fn enqueue(&mut self, index: usize) {
        self.clients[index].enqueue = RequestState::Pending;
        let parents: Vec<_> = match index {
            1 if self.is_chain => self.read(self.ids[0]).into_iter().collect(),
            _ => Vec::new(),
        };
        let job = self.new_job(index, &parents);
        let mut transaction = fixture::create(&job);
        let live = parents.iter().filter(|parent| !parent.status.state.is_terminal());
        transaction.preconditions.extend(live.map(|parent| {
            let (id, version) = (parent.id, parent.status.version);
            Precondition::JobVersion { id, version }
        }));
        let request = format!("request-{index}");
        let transaction =
            fixture::with_idempotency(transaction, &request, b"content", T0 + 1_000 * TICK);
        self.submit(Submission {
            submitter: Submitter::Enqueue,
            decided: None,
            transaction,
            after: Some(job),
        });
    }

    pub(crate) fn cancel(&mut self, index: usize) {
        self.remaining.cancels -= 1;
        let Some(job) = self.read(self.ids[index]) else { return };
        let command = Command::Cancel { reason: "".into(), actor: "".into() };
        let is_accepted = self.decide_and_submit(Submitter::Cancel, &job, command);
        self.clients[index].cancel =
            if is_accepted { RequestState::Pending } else { RequestState::Answered };
    }

    pub(crate) fn retry(&mut self, index: usize) {
        self.remaining.retries -= 1;
        let Some(job) = self.read(self.ids[index]) else { return };
        let is_accepted = self.decide_and_submit(Submitter::Retry, &job, Command::Retry);
        self.clients[index].retry =
            if is_accepted { RequestState::Pending } else { RequestState::Answered };
    }
}
