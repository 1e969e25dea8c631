//! Converts the frames of a worker session from and to the engine's types.

use std::sync::Arc;

use bytes::Bytes;
use prost_types::Duration;
use sentinel_domain::limits::{
    DELAY_MAX_MS, DESCRIPTION_BYTES, ERROR_BYTES, ERROR_CODE_BYTES, ERROR_DETAIL_BYTES, KEY_BYTES,
    KIND_SCHEMA_BYTES, LABELS, LOG_LINE_BYTES, NAME_BYTES, OUTPUT_CHUNK_BYTES, PROGRESS_BYTES,
    RETRY_CAP_MAX_MS, WORKER_CAPABILITIES, WORKER_CREDITS,
};
use sentinel_domain::{
    Command, FieldViolation, Job, JobError, Label, LeaseId, Progress, SessionId, check_name,
};
use sentinel_engine::DeclaredKind;
use sentinel_engine::session::{
    FromWorker, HeldLease, HeldLeaseVerdict, Hello, LogLine, Principal, ReportItem, ReportVerdict,
    ToWorker, Welcome, WorkerDetails, failure,
};
use sentinel_proto::jobs::v1 as jobs;
use sentinel_proto::workers::v1 as wire;
use sentinel_proto::workers::v1::report_item::Outcome;
use sentinel_proto::workers::v1::session_request::Frame as In;
use sentinel_proto::workers::v1::session_response::Frame as Out;
use tonic::Status;

use crate::service::from_wire::{clamped_time, duration_ms, job_id, truncated};
use crate::service::status::{invalid, invalid_field, protocol_error};
use crate::service::to_wire::{duration, timestamp};

/// Maximum number of items in a frame.
const ITEMS_MAX: usize = 1_000;

fn check_count<T>(items: Vec<T>, noun: &str) -> Result<Vec<T>, Status> {
    if items.len() > ITEMS_MAX {
        let count = items.len();
        return Err(protocol_error(format!("a frame has {count} {noun}: at most {ITEMS_MAX}")));
    }
    Ok(items)
}

fn session(field: &str, text: &str) -> Result<SessionId, Status> {
    text.parse()
        .map_err(|_| invalid_field(field, format!("{:?} is not a session id", truncated(text))))
}

fn held(lease: wire::Lease) -> Result<HeldLease, Status> {
    Ok(HeldLease {
        id: job_id("lease.job_id", &lease.job_id)?,
        lease: LeaseId {
            run: lease.run,
            attempt: lease.attempt,
            epoch: lease.epoch,
            session: session("lease.session", &lease.session)?,
        },
    })
}

fn required_lease(lease: Option<wire::Lease>) -> Result<HeldLease, Status> {
    held(lease.ok_or_else(|| protocol_error("a frame has no lease"))?)
}

fn lease(held: &HeldLease) -> wire::Lease {
    wire::Lease {
        job_id: held.id.to_string(),
        run: held.lease.run,
        attempt: held.lease.attempt,
        epoch: held.lease.epoch,
        session: held.lease.session.to_string(),
    }
}

fn byte_limit(bytes: u64) -> Option<i64> {
    (bytes != 0).then(|| i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// Validates the descriptive fields of a Hello. They do not affect scheduling; only their size and
/// form are checked here, since they are stored and displayed.
fn description_violations(hello: &wire::Hello) -> Vec<FieldViolation> {
    let mut found = Vec::new();
    let mut bytes = |field: String, len: usize, max: u64| {
        if len as u64 > max {
            let text = format!("{len} bytes is too long: at most {max} bytes");
            found.push(FieldViolation::new(field, text));
        }
    };
    bytes("hello.build".into(), hello.build.len(), NAME_BYTES);
    for kind in &hello.kinds {
        let field = |name: &str| format!("hello.kinds[{:?}].{name}", truncated(&kind.name));
        bytes(field("description"), kind.description.len(), DESCRIPTION_BYTES);
        bytes(field("input_schema"), kind.input_schema.len(), KIND_SCHEMA_BYTES);
    }
    for kind in hello.kinds.iter().filter(|kind| !is_object_or_empty(&kind.input_schema)) {
        let field = format!("hello.kinds[{:?}].input_schema", truncated(&kind.name));
        found.push(FieldViolation::new(field, "is not a JSON object"));
    }
    if hello.labels.len() as u64 > LABELS {
        let text = format!("{} labels is too many: at most {LABELS}", hello.labels.len());
        found.push(FieldViolation::new("hello.labels", text));
        return found;
    }
    for (key, value) in &hello.labels {
        let field = format!("hello.labels[{:?}]", truncated(key));
        check_name(&mut found, &field, key);
        if value.len() as u64 > KEY_BYTES {
            let text = format!("{} bytes is too long: at most {KEY_BYTES} bytes", value.len());
            found.push(FieldViolation::new(field, text));
        }
    }
    found
}

/// Returns whether a schema is empty or a JSON object. A schema that is too long is not parsed; its
/// length is checked elsewhere.
fn is_object_or_empty(schema: &str) -> bool {
    schema.len() as u64 > KIND_SCHEMA_BYTES
        || schema.is_empty()
        || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(schema).is_ok()
}

fn label((key, value): (String, String)) -> Label {
    Label { key: key.into(), value: value.into() }
}

/// Converts a Hello. `server` is the name of this server.
pub(super) fn hello(
    hello: wire::Hello,
    server: &str,
    principal: Principal,
) -> Result<Hello, Status> {
    let found = description_violations(&hello);
    if !found.is_empty() {
        return Err(invalid(found));
    }
    let credit = hello.credit.unwrap_or_default();
    let kinds = hello.kinds.iter().map(|kind| kind.name.as_str().into()).collect();
    let declared = |kind: wire::Kind| DeclaredKind {
        name: kind.name.into(),
        description: kind.description.into(),
        input_schema: kind.input_schema.into(),
    };
    let details = WorkerDetails {
        kinds: hello.kinds.into_iter().map(declared).collect(),
        build: hello.build.into(),
        server: server.into(),
        labels: hello.labels.into_iter().map(label).collect(),
        // Newer workers may send capabilities that this version does not know. Too many or too
        // long ones are cut rather than rejected.
        capabilities: hello
            .capabilities
            .into_iter()
            .take(WORKER_CAPABILITIES as usize)
            .map(|name| truncate(name, NAME_BYTES))
            .collect(),
    };
    let previous = Some(hello.session.as_str()).filter(|id| !id.is_empty());
    Ok(Hello {
        principal,
        instance: hello.instance,
        queues: hello.queues.into_iter().map(Into::into).collect(),
        kinds,
        details,
        session: previous.map(|id| session("hello.session", id)).transpose()?,
        held: hello.held.into_iter().map(held).collect::<Result<_, _>>()?,
        credit_jobs: credit.jobs as usize,
        credit_bytes: byte_limit(credit.bytes),
    })
}

/// Truncates a text of a worker at a character boundary.
fn truncate(mut text: String, max: u64) -> Box<str> {
    if text.len() as u64 > max {
        text.truncate(text.floor_char_boundary(max as usize));
    }
    text.into()
}

fn delay_ms(delay: Option<Duration>, max_ms: u64) -> Option<u64> {
    delay.map(|delay| u64::try_from(duration_ms(delay)).unwrap_or(0).min(max_ms))
}

fn job_error(error: Option<jobs::JobError>) -> JobError {
    let error = error.unwrap_or_default();
    JobError {
        message: truncate(error.message, ERROR_BYTES),
        code: truncate(error.code, ERROR_CODE_BYTES),
        retryable: error.retryable,
        detail: truncate(error.detail, ERROR_DETAIL_BYTES),
    }
}

fn report_item(item: wire::ReportItem) -> Result<ReportItem, Status> {
    let held = required_lease(item.lease)?;
    let (lease, started_at) = (held.lease, item.started_at.map(clamped_time));
    let outcome = item.outcome.ok_or_else(|| protocol_error("a report has no outcome"))?;
    let command = match outcome {
        Outcome::Succeeded(done) => {
            Command::Succeed { lease, started_at, result: Bytes::copy_from_slice(&done.result) }
        }
        Outcome::Failed(failed) => Command::Fail {
            lease,
            started_at,
            failure: failure(
                job_error(failed.error),
                delay_ms(failed.next_delay, RETRY_CAP_MAX_MS),
                failed.timeout,
            ),
        },
        Outcome::Snoozed(snoozed) => Command::Snooze {
            lease,
            started_at,
            delay_ms: delay_ms(snoozed.delay, DELAY_MAX_MS).unwrap_or(0),
        },
        Outcome::Released(wire::Released {}) => Command::Release { lease },
        Outcome::Cancelled(wire::Cancelled {}) => Command::Stop { lease, started_at, entropy: 0 },
    };
    Ok(ReportItem { held, command })
}

fn progress(progress: jobs::Progress) -> Progress {
    Progress {
        seq: progress.seq,
        done: progress.done,
        total: progress.total,
        message: truncate(progress.message, PROGRESS_BYTES),
    }
}

fn log_line(line: jobs::LogLine) -> LogLine {
    LogLine {
        seq: line.seq,
        at: line.time.map(clamped_time).unwrap_or_default(),
        level: u8::try_from(line.level).unwrap_or_default(),
        text: truncate(line.text, LOG_LINE_BYTES).into(),
    }
}

fn output_chunk(data: &[u8]) -> Result<Bytes, Status> {
    let is_allowed = (1..=OUTPUT_CHUNK_BYTES as usize).contains(&data.len());
    is_allowed.then(|| Bytes::copy_from_slice(data)).ok_or_else(|| {
        let text = format!("{} bytes are out of range: 1..={OUTPUT_CHUNK_BYTES}", data.len());
        invalid_field("output.data", text)
    })
}

/// Converts a frame other than the first Hello.
pub(super) fn from_worker(frame: wire::SessionRequest) -> Result<FromWorker, Status> {
    let frame =
        frame.frame.ok_or_else(|| protocol_error("a frame is empty or has an unknown type"))?;
    Ok(match frame {
        In::Hello(_) => return Err(protocol_error("a second Hello")),
        In::Credit(credit) => {
            if u64::from(credit.jobs) > WORKER_CREDITS {
                let text = format!("{} is out of range: 0..={WORKER_CREDITS}", credit.jobs);
                return Err(invalid_field("credit.jobs", text));
            }
            FromWorker::Credit { jobs: credit.jobs as usize, bytes: byte_limit(credit.bytes) }
        }
        In::Received(received) => FromWorker::Received { assign_seq: received.assign_seq },
        In::Report(report) => {
            let items = check_count(report.items, "reports")?.into_iter().map(report_item);
            FromWorker::Report(items.collect::<Result<_, _>>()?)
        }
        In::Progress(report) => {
            let items = check_count(report.items, "progress reports")?.into_iter().map(|item| {
                Ok((required_lease(item.lease)?, progress(item.progress.unwrap_or_default())))
            });
            FromWorker::Progress(items.collect::<Result<_, Status>>()?)
        }
        In::Checkpoint(checkpoint) => FromWorker::Checkpoint {
            held: required_lease(checkpoint.lease)?,
            seq: checkpoint.seq,
            data: Bytes::copy_from_slice(&checkpoint.data),
        },
        In::Log(log) => FromWorker::Log {
            held: required_lease(log.lease)?,
            lines: check_count(log.lines, "log lines")?.into_iter().map(log_line).collect(),
        },
        In::Output(output) => FromWorker::Output {
            held: required_lease(output.lease)?,
            offset: output.offset,
            data: output_chunk(&output.data)?,
        },
        In::CancelAck(ack) => {
            let leases = check_count(ack.leases, "leases")?.into_iter().map(held);
            FromWorker::CancelAck(leases.collect::<Result<_, _>>()?)
        }
        In::Ping(ping) => FromWorker::Ping { nonce: ping.nonce },
        In::Drain(wire::Drain {}) => FromWorker::Drain,
        In::Bye(_) => FromWorker::Bye,
    })
}

const fn verdict(verdict: ReportVerdict) -> wire::Verdict {
    match verdict {
        ReportVerdict::Recorded => wire::Verdict::Recorded,
        ReportVerdict::Duplicate => wire::Verdict::Duplicate,
        ReportVerdict::Fenced => wire::Verdict::Fenced,
        ReportVerdict::RetryLater => wire::Verdict::RetryLater,
    }
}

fn assignment(job: &Arc<Job>) -> Option<wire::Assignment> {
    let held = HeldLease { id: job.id, lease: job.status.lease?.id };
    let spec = &job.spec;
    Some(wire::Assignment {
        lease: Some(lease(&held)),
        kind: spec.kind.to_string(),
        queue: spec.queue.to_string(),
        payload: spec.payload.clone(),
        content_type: spec.content_type.to_string(),
        run_timeout: spec.run_timeout_ms.map(duration),
        checkpoint: job.status.checkpoint.clone().unwrap_or_default(),
        traceparent: spec.traceparent.as_deref().unwrap_or_default().to_owned(),
        max_attempts: spec.retry.max_attempts,
        labels: spec.labels.iter().map(|l| (l.key.to_string(), l.value.to_string())).collect(),
        created_at: Some(timestamp(spec.created_at)),
    })
}

fn cancel_item(job: &Arc<Job>) -> Option<wire::CancelItem> {
    let held = HeldLease { id: job.id, lease: job.status.lease?.id };
    let reason = job.status.cancel.as_deref().map(|cancel| cancel.reason.to_string());
    Some(wire::CancelItem {
        lease: Some(lease(&held)),
        reason: reason.unwrap_or_default(),
        grace: Some(duration(job.spec.cancel_grace_ms)),
    })
}

fn welcome(welcome: Welcome, server: &str) -> wire::Welcome {
    let millis = |d: std::time::Duration| duration(d.as_millis() as u64);
    let held = welcome.held.into_iter().map(|verdict| match verdict {
        HeldLeaseVerdict::Keep => wire::HeldVerdict::Keep.into(),
        HeldLeaseVerdict::Revoked => wire::HeldVerdict::Revoked.into(),
        HeldLeaseVerdict::AlreadyRecorded => wire::HeldVerdict::AlreadyRecorded.into(),
    });
    wire::Welcome {
        session: welcome.session.to_string(),
        ping: Some(millis(welcome.ping)),
        ttl: Some(millis(welcome.ttl)),
        held: held.collect(),
        capabilities: vec!["output".to_owned()],
        server: server.to_owned(),
    }
}

pub(super) fn to_worker(frame: ToWorker, server: &str) -> wire::SessionResponse {
    let frame = match frame {
        ToWorker::Welcome(terms) => Out::Welcome(welcome(terms, server)),
        ToWorker::Assign { assign_seq, jobs } => Out::Assign(wire::Assign {
            assign_seq,
            items: jobs.iter().filter_map(assignment).collect(),
        }),
        ToWorker::ReportAck(items) => {
            let items = items.into_iter().map(|(held, v)| wire::ReportVerdict {
                lease: Some(lease(&held)),
                verdict: verdict(v).into(),
            });
            Out::ReportAck(wire::ReportAck { items: items.collect() })
        }
        ToWorker::CheckpointAck { held, seq, verdict: v } => {
            Out::CheckpointAck(wire::CheckpointAck {
                lease: Some(lease(&held)),
                seq,
                verdict: verdict(v).into(),
            })
        }
        ToWorker::LogAck { held, seq } => {
            Out::LogAck(wire::LogAck { lease: Some(lease(&held)), seq })
        }
        ToWorker::OutputAck { held, offset, verdict: v, stored } => {
            Out::OutputAck(wire::OutputAck {
                lease: Some(lease(&held)),
                offset,
                verdict: verdict(v).into(),
                stored,
            })
        }
        ToWorker::Cancel(jobs) => {
            Out::Cancel(wire::CancelJobs { items: jobs.iter().filter_map(cancel_item).collect() })
        }
        ToWorker::Pong { nonce, cancels } => Out::Pong(wire::Pong {
            nonce,
            cancels: cancels.iter().filter_map(cancel_item).collect(),
        }),
        ToWorker::Revoked(held) => {
            Out::Revoked(wire::Revoked { leases: held.iter().map(lease).collect() })
        }
        ToWorker::DrainAck { last_assign_seq } => Out::DrainAck(wire::DrainAck { last_assign_seq }),
        ToWorker::GoAway { reconnect_within } => Out::GoAway(wire::GoAway {
            reconnect_within: Some(duration(reconnect_within.as_millis() as u64)),
        }),
    };
    wire::SessionResponse { frame: Some(frame) }
}
