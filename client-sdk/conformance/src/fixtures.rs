//! Assignments, leases and report accessors that the scenarios share.

use std::time::Duration;

use sentinel_proto::jobs::v1::JobError;
use sentinel_proto::workers::v1::{Assignment, Failed, Lease, ReportItem, report_item::Outcome};
use serde_json::Value;

/// A lease of the session `s1`.
pub(crate) fn lease(job: &str) -> Lease {
    Lease { job_id: job.to_owned(), run: 1, attempt: 1, epoch: 1, session: "s1".to_owned() }
}

/// An assignment of the session `s1`.
pub(crate) fn job(id: &str, kind: &str, payload: Value) -> Assignment {
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

pub(crate) fn job_id(item: &ReportItem) -> &str {
    &item.lease.as_ref().expect("a report with a lease").job_id
}

/// The result of a success, as text.
pub(crate) fn result(item: &ReportItem) -> String {
    match &item.outcome {
        Some(Outcome::Succeeded(succeeded)) => {
            String::from_utf8_lossy(&succeeded.result).into_owned()
        }
        other => panic!("{}: expected a success, got {other:?}", job_id(item)),
    }
}

pub(crate) fn failure(item: &ReportItem) -> (Failed, JobError) {
    match &item.outcome {
        Some(Outcome::Failed(failed)) => {
            (failed.clone(), failed.error.clone().expect("a failure with an error"))
        }
        other => panic!("{}: expected a failure, got {other:?}", job_id(item)),
    }
}

pub(crate) fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}
