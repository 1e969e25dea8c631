//! What callers do.

use sentinel_domain::Command;
use sentinel_store::Precondition;
use sentinel_store::conformance::fixture;

use super::world::{Asked, Submission, T0, TICK, Who, World};

impl World {
    pub(crate) fn enqueue(&mut self, which: usize) {
        self.clients[which].enqueue = Asked::Open;
        let parents: Vec<_> = match which {
            1 if self.is_chain => self.read(self.ids[0]).into_iter().collect(),
            _ => Vec::new(),
        };
        let job = self.new_job(which, &parents);
        let mut group = fixture::create(&job);
        let live = parents.iter().filter(|parent| !parent.status.state.is_terminal());
        group.preconditions.extend(live.map(|parent| {
            let (id, version) = (parent.id, parent.status.version);
            Precondition::JobVersion { id, version }
        }));
        let request = format!("request-{which}");
        let group = fixture::with_idempotency(group, &request, b"the same", T0 + 1_000 * TICK);
        self.submit(Submission { who: Who::Enqueue, decided: None, group, after: Some(job) });
    }

    pub(crate) fn cancel(&mut self, which: usize) {
        self.left.cancels -= 1;
        let Some(job) = self.read(self.ids[which]) else { return };
        let command = Command::Cancel { reason: "".into(), actor: "".into() };
        let is_taken = self.submit_decided(Who::Cancel, &job, command);
        self.clients[which].cancel = if is_taken { Asked::Open } else { Asked::Answered };
    }

    pub(crate) fn retry(&mut self, which: usize) {
        self.left.retries -= 1;
        let Some(job) = self.read(self.ids[which]) else { return };
        let is_taken = self.submit_decided(Who::Retry, &job, Command::Retry);
        self.clients[which].retry = if is_taken { Asked::Open } else { Asked::Answered };
    }
}
