//! The scenarios by name. Each runs against every worker runtime.

mod attempt_data;
mod cancel;
mod compatibility;
mod connect;
mod drain;
mod hostile;
mod reconnect;
mod report;
mod run;

use std::pin::Pin;

use crate::WorkerProgram;

use attempt_data::{
    checkpoint, checkpoint_fenced, logs, logs_resent, output, output_errors, progress,
};
use cancel::{cancel_acknowledged, handler_ignores_cancel, run_timeout, success_after_cancel};
use compatibility::{invalid_welcome, unknown_fields_and_frames};
use connect::{credential, endpoint_failover, hello, hello_rejected, reconnect_backoff};
use drain::{drain, drain_reconnect, drain_timeout};
use hostile::{
    advise_hostile, capacity_after_timeout, return_hostile, run_timeout_starts_with_handler,
    throw_deep, throw_hostile,
};
use reconnect::{go_away, held_verdicts, lease_revoked, silent_stream};
use report::{report_fenced, report_resent, report_retry_later};
use run::{
    assign_exceeds_credit, cpu_bound_handler, credit, duplicate_assign, handler_errors, run_job,
    snooze_and_release,
};

type ScenarioFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A test of one rule of the session protocol.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// The name, as on the command line.
    pub name: &'static str,
    run: fn(WorkerProgram) -> ScenarioFuture,
}

impl Scenario {
    /// Runs the scenario against a worker program.
    ///
    /// # Panics
    /// When the program violates the rule, with the expected behaviour.
    pub async fn run(&self, program: &WorkerProgram) {
        (self.run)(program.clone()).await;
    }
}

/// Passes the names of the scenarios to a macro, so that a test harness can define a test for each.
#[macro_export]
macro_rules! for_each_scenario {
    ($each:ident) => {
        $each! {
            advise_hostile, assign_exceeds_credit, cancel_acknowledged, capacity_after_timeout, checkpoint, checkpoint_fenced,
            cpu_bound_handler, credential, credit, drain, drain_reconnect, drain_timeout,
            duplicate_assign, endpoint_failover, go_away, handler_errors, handler_ignores_cancel,
            held_verdicts, hello, hello_rejected, invalid_welcome, lease_revoked, logs,
            logs_resent, output, output_errors, progress, reconnect_backoff, report_fenced,
            report_resent, report_retry_later, return_hostile, run_job, run_timeout,
            run_timeout_starts_with_handler, silent_stream, snooze_and_release,
            success_after_cancel, throw_deep, throw_hostile, unknown_fields_and_frames,
        }
    };
}

macro_rules! table {
    ($($name:ident),* $(,)?) => {
        /// All scenarios.
        pub const SCENARIOS: &[Scenario] = &[
            $(Scenario { name: stringify!($name), run: |program| Box::pin($name(program)) }),*
        ];
    };
}

for_each_scenario!(table);
