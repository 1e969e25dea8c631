//! The scenarios by name. One that is added here is played to every runtime.

mod cancel;
mod drain;
mod greeting;
mod reconnect;
mod report;
mod run;
mod side;
mod unknown;

use std::pin::Pin;
use std::time::Duration;

use sentinel_proto::jobs::v1::JobError;
use sentinel_proto::workers::v1::{Assignment, Failed, Lease, ReportItem, report_item::Outcome};
use serde_json::Value;

use crate::Runtime;

use cancel::{a_success_wins, cancels_are_acknowledged, the_grace_ends, timeouts_are_reported};
use drain::{drain, drain_outlives_its_stream, drain_timeout};
use greeting::{credential, hello, redials_back_off, refused_hello, second_server};
use reconnect::{go_away, held_verdicts, revoked, silence};
use report::{fenced, resent, retry_later};
use run::{
    burnt_processor, credits, errors, outcomes, over_granted, repeated_assignments, run_job,
};
use side::{
    checkpoint_is_fenced, checkpoints, logs, logs_are_resent, output, output_is_refused, progress,
};
use unknown::{broken_welcome, unknown_things};

type Playing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One rule with the script that tells whether a runtime keeps it.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// As on the command line.
    pub name: &'static str,
    run: fn(Runtime) -> Playing,
}

impl Scenario {
    /// Plays it to a worker of this runtime.
    ///
    /// # Panics
    /// When a rule is broken, with what was expected.
    pub async fn play(&self, runtime: &Runtime) {
        (self.run)(runtime.clone()).await;
    }
}

/// Hands the names of the scenarios to a macro, so that a test harness has one test for each.
#[macro_export]
macro_rules! for_each_scenario {
    ($each:ident) => {
        $each! {
            a_success_wins, broken_welcome, burnt_processor, cancels_are_acknowledged,
            checkpoint_is_fenced, checkpoints, credential, credits, drain,
            drain_outlives_its_stream, drain_timeout, errors, fenced, go_away, held_verdicts,
            hello, logs, logs_are_resent, outcomes, output, output_is_refused, over_granted, progress,
            redials_back_off,
            refused_hello, repeated_assignments, resent, retry_later, revoked, run_job,
            second_server, silence, the_grace_ends, timeouts_are_reported, unknown_things,
        }
    };
}

macro_rules! table {
    ($($name:ident),* $(,)?) => {
        /// All of them.
        pub const SCENARIOS: &[Scenario] = &[
            $(Scenario { name: stringify!($name), run: |runtime| Box::pin($name(runtime)) }),*
        ];
    };
}

for_each_scenario!(table);

/// A lease of the session `s1`.
fn lease(job: &str) -> Lease {
    Lease { job_id: job.to_owned(), run: 1, attempt: 1, epoch: 1, session: "s1".to_owned() }
}

/// An assignment of the session `s1`.
fn job(id: &str, kind: &str, payload: Value) -> Assignment {
    Assignment {
        lease: Some(lease(id)),
        kind: kind.to_owned(),
        queue: "default".to_owned(),
        payload: payload.to_string().into_bytes().into(),
        content_type: "application/json".to_owned(),
        max_attempts: 3,
        ..Assignment::default()
    }
}

fn job_id(item: &ReportItem) -> &str {
    &item.lease.as_ref().expect("a report names its lease").job_id
}

/// The result of a success, as text.
fn result(item: &ReportItem) -> String {
    match &item.outcome {
        Some(Outcome::Succeeded(done)) => String::from_utf8_lossy(&done.result).into_owned(),
        other => panic!("{} has succeeded; this was reported: {other:?}", job_id(item)),
    }
}

fn failure(item: &ReportItem) -> (Failed, JobError) {
    match &item.outcome {
        Some(Outcome::Failed(failed)) => {
            (failed.clone(), failed.error.clone().expect("a failure has an error"))
        }
        other => panic!("{} has failed; this was reported: {other:?}", job_id(item)),
    }
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}
