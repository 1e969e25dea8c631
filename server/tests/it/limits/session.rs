//! Limits of the frames of a worker session.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sentinel_domain::limits::{self as l, Limit};
use sentinel_proto::admin::v1::ListWorkersRequest;
use sentinel_proto::jobs::v1::{
    GetRequest, Job, JobError, JobState, JobView, LogLine, Progress, ReadLogsRequest,
    ReadOutputRequest, StateReason,
};
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{
    Checkpoint, Credit, Hello, Lease, LogBatch, Output, ProgressItem, ProgressReport, Verdict,
};

use tonic::Status;

use super::{NAME_RANGE, invalid_names, text};
use crate::harness::{TIMEOUT, wait_until};
use crate::raw::session::{RawSession, failed_report, hello, kind, succeeded_report};
use crate::raw::{RawClients, assert_invalid_field, spec};

/// Tests a limit; returns false when the limit is not tested here.
pub(super) async fn check(raw: &RawClients, limit: &Limit) -> bool {
    let max = limit.value;
    match limit.name {
        "RESULT_BYTES" => result(raw, max).await,
        "ERROR_BYTES" => {
            let error_of_len = |len| JobError { message: text(len), ..JobError::default() };
            error(raw, max, error_of_len, |error| error.message.len()).await;
        }
        "ERROR_CODE_BYTES" => {
            let error_of_len = |len| JobError { code: text(len), ..JobError::default() };
            error(raw, max, error_of_len, |error| error.code.len()).await;
        }
        "ERROR_DETAIL_BYTES" => {
            let error_of_len = |len| JobError { detail: text(len), ..JobError::default() };
            error(raw, max, error_of_len, |error| error.detail.len()).await;
        }
        "PROGRESS_BYTES" => progress(raw, max).await,
        "CHECKPOINT_BYTES" => checkpoint(raw, max).await,
        "LOG_LINE_BYTES" => log_line(raw, max).await,
        "LOG_ATTEMPT_BYTES" => log_attempt(raw, max).await,
        "OUTPUT_CHUNK_BYTES" => output_piece(raw, max).await,
        "OUTPUT_CHUNKS" => output_pieces(raw, max).await,
        "OUTPUT_ATTEMPT_BYTES" => output_attempt(raw, max).await,
        "WORKER_QUEUES" => {
            let set =
                |hello: &mut Hello, n| hello.queues = (0..n).map(|n| format!("q{n}")).collect();
            let range = format!("1..={max}");
            hello_edge(
                raw,
                ("hello.queues", &range),
                set,
                &[1, max - 1, max],
                &[0, max + 1, 9_999],
            )
            .await;
            hello_texts(raw).await;
        }
        "WORKER_KINDS" => {
            let set = |hello: &mut Hello, n| {
                hello.kinds = (0..n).map(|n| kind(format!("k{n}"))).collect()
            };
            let range = format!("1..={max}");
            hello_edge(raw, ("hello.kinds", &range), set, &[1, max - 1, max], &[0, max + 1, 9_999])
                .await;
        }
        "WORKER_CAPABILITIES" => capabilities(raw, max).await,
        "KIND_SCHEMA_BYTES" => kind_schema(raw, max).await,
        "WORKER_CREDITS" => credit(raw, max).await,
        "RUN_TIMEOUT_SLACK_MS" => run_timeout_slack(raw, max).await,
        _ => return false,
    }
    true
}

/// Excess or overlong capabilities are dropped and the worker is accepted.
async fn capabilities(raw: &RawClients, max: u64) {
    for (count, len) in [(max, 127), (max, 128), (max + 1, 129)] {
        let instance = format!("capable-{count}-{len}");
        let frame = hello(|hello| {
            hello.instance.clone_from(&instance);
            hello.capabilities = (0..count).map(|_| text(len)).collect();
        });
        let (_session, _) = RawSession::join(raw, frame).await.expect("the server accepts it");
        let mut page_token = String::new();
        let found = loop {
            // Workers of other limit tests may fill pages.
            let request = ListWorkersRequest { page_token, ..ListWorkersRequest::default() };
            let page = raw.registry.clone().list_workers(request).await.expect("a response");
            let page = page.into_inner();
            if let Some(found) = page.workers.into_iter().find(|w| w.instance == instance) {
                break found;
            }
            assert!(!page.next_page_token.is_empty(), "{instance} is listed");
            page_token = page.next_page_token;
        };
        assert_eq!(found.capabilities.len() as u64, count.min(max));
        assert!(found.capabilities.iter().all(|name| name.len() as u64 == len.min(128)));
    }
}

async fn hello_edge<T: Copy>(
    raw: &RawClients,
    (field, range): (&str, &str),
    set: impl Fn(&mut Hello, T),
    good: &[T],
    bad: &[T],
) {
    for value in good {
        let joined = RawSession::join(raw, hello(|hello| set(hello, *value))).await;
        assert!(joined.is_ok(), "{field}: {:?}", joined.err());
    }
    for value in bad {
        let joined = RawSession::join(raw, hello(|hello| set(hello, *value))).await;
        assert_invalid_field(joined.map(|_| ()), field, range);
    }
}

async fn hello_texts(raw: &RawClients) {
    let long = "at most 128 bytes";
    let build = |hello: &mut Hello, len| hello.build = text(len);
    hello_edge(raw, ("hello.build", long), build, &[0, 128], &[129, 1 << 20]).await;
    let instance = |hello: &mut Hello, len| hello.instance = text(len);
    let range = "1..=128";
    hello_edge(raw, ("hello.instance", range), instance, &[1, 128], &[0, 129, 1 << 20]).await;
    let described = |hello: &mut Hello, len| hello.kinds[0].description = text(len);
    let field = ("hello.kinds[\"raw\"].description", "at most 1024 bytes");
    hello_edge(raw, field, described, &[0, l::DESCRIPTION_BYTES], &[1_025, 1 << 20]).await;
    let labels = |hello: &mut Hello, n: u64| {
        hello.labels = (0..n).map(|at| (format!("k{at}"), String::new())).collect();
    };
    let field = ("hello.labels", "at most 16");
    hello_edge(raw, field, labels, &[0, l::LABELS], &[l::LABELS + 1, 10_000]).await;
    let label = |hello: &mut Hello, len| hello.labels = [("k".to_owned(), text(len))].into();
    let field = ("hello.labels[\"k\"]", "at most 256 bytes");
    hello_edge(raw, field, label, &[0, l::KEY_BYTES], &[l::KEY_BYTES + 1]).await;
    for name in invalid_names() {
        let queue = hello(|hello| hello.queues = vec![name.clone()]);
        assert_invalid_field(
            RawSession::join(raw, queue).await.map(|_| ()),
            "hello.queues",
            NAME_RANGE,
        );
        let kinds = hello(|hello| hello.kinds = vec![kind(name)]);
        assert_invalid_field(
            RawSession::join(raw, kinds).await.map(|_| ()),
            "hello.kinds",
            NAME_RANGE,
        );
    }
    for session in ["x", "0190", "00000000-0000-0000-0000-00000000000g"] {
        let resumed = hello(|hello| hello.session = session.to_owned());
        assert_invalid_field(
            RawSession::join(raw, resumed).await.map(|_| ()),
            "hello.session",
            "session id",
        );
    }
}

async fn kind_schema(raw: &RawClients, max: u64) {
    let set = |hello: &mut Hello, schema: &str| schema.clone_into(&mut hello.kinds[0].input_schema);
    let of_len = |len: u64| format!(r#"{{"title":"{}"}}"#, text(len - 12));
    let (just_fits, too_long) = (of_len(max), of_len(max + 1));
    assert_eq!(just_fits.len() as u64, max);
    let field = "hello.kinds[\"raw\"].input_schema";
    let range = format!("at most {max} bytes");
    hello_edge(raw, (field, &range), set, &["", "{}", &just_fits], &[&too_long]).await;
    hello_edge(raw, (field, "not a JSON object"), set, &[], &["[]", "{", "true", "{}{}"]).await;
}

async fn credit(raw: &RawClients, max: u64) {
    let set = |hello: &mut Hello, jobs: u32| hello.credit = Some(Credit { jobs, bytes: 0 });
    let (high, range) = (max as u32, format!("0..={max}"));
    // This queue is empty; otherwise the largest credit would claim the jobs of other tests.
    let set = |hello: &mut Hello, jobs| {
        hello.queues = vec!["an-empty-queue".to_owned()];
        set(hello, jobs);
    };
    let bad = [high + 1, u32::MAX];
    hello_edge(raw, ("hello.credit.jobs", &range), set, &[0, 1, high - 1, high], &bad).await;
    for jobs in bad {
        let (mut session, _) =
            RawSession::join(raw, hello(|h| set(h, 0))).await.expect("a session");
        session.send_frame(Up::Credit(Credit { jobs: high, bytes: u64::MAX })).await;
        session.assert_alive(1).await;
        session.send_frame(Up::Credit(Credit { jobs, bytes: 0 })).await;
        assert_invalid_field(session.closed().await, "credit.jobs", &range);
    }
}

/// Enqueues a job of a new kind and opens a session that accepts it.
async fn working(raw: &RawClients, name: &str) -> (RawSession, String, Option<Lease>) {
    let of_kind = spec(|spec| {
        (spec.kind, spec.retry) = (name.to_owned(), Some(Default::default()));
        spec.retry.get_or_insert_default().max_attempts = 1;
    });
    let id = raw.enqueue(of_kind).await.expect("the server accepts it");
    let joined = RawSession::join(raw, hello(|hello| hello.kinds = vec![kind(name)])).await;
    let (mut session, _) = joined.expect("a session");
    let lease = session.accept_job().await.lease;
    (session, id, lease)
}

async fn get_job(raw: &RawClients, id: &str) -> Job {
    let request = GetRequest { id: id.to_owned(), view: JobView::Full.into() };
    let response = raw.jobs.clone().get(request).await.expect("an existing job").into_inner();
    response.job.expect("a job")
}

async fn result(raw: &RawClients, max: u64) {
    for len in [0, 1, max - 1, max, max + 1, 16 << 20] {
        let (mut session, id, lease) = working(raw, "result").await;
        let verdicts = session.report(vec![succeeded_report(lease, vec![7; len as usize])]).await;
        assert_eq!(verdicts, [Verdict::Recorded]);
        let job = get_job(raw, &id).await;
        if len <= max {
            assert_eq!((job.state(), job.result.len() as u64), (JobState::Succeeded, len));
        } else {
            let error = job.error.as_ref().expect("an error");
            assert_eq!(error.code, "RESULT_TOO_LARGE");
            assert!(error.message.contains(&max.to_string()), "{error:?}");
            assert_eq!((job.state(), job.result.len()), (JobState::Failed, 0));
        }
    }
}

async fn error(
    raw: &RawClients,
    max: u64,
    error_of_len: impl Fn(u64) -> JobError,
    len_of: impl Fn(&JobError) -> usize,
) {
    for len in [0, max - 1, max, max + 1, 1 << 20] {
        let (mut session, id, lease) = working(raw, "error").await;
        assert_eq!(
            session.report(vec![failed_report(lease, error_of_len(len))]).await,
            [Verdict::Recorded]
        );
        let kept = get_job(raw, &id).await.error.expect("an error");
        assert_eq!(len_of(&kept) as u64, len.min(max));
    }
}

async fn progress(raw: &RawClients, max: u64) {
    let (mut session, id, lease) = working(raw, "progress").await;
    for (seq, len) in [0, max - 1, max, max + 1, 1 << 20].into_iter().enumerate() {
        let seq = seq as u64 + 1;
        let message = text(len);
        let progress = Some(Progress { seq, done: seq, total: 9, message });
        let items = vec![ProgressItem { lease: lease.clone(), progress }];
        session.send_frame(Up::Progress(ProgressReport { items })).await;
        let kept = wait_until("the progress is stored", TIMEOUT, || async {
            get_job(raw, &id).await.progress.filter(|progress| progress.seq == seq)
        });
        assert_eq!(kept.await.message.len() as u64, len.min(max));
    }
    session.assert_alive(1).await;
}

async fn checkpoint(raw: &RawClients, max: u64) {
    let (mut session, id, lease) = working(raw, "checkpoint").await;
    for (seq, len) in [0, 1, max - 1, max, max + 1, 16 << 20].into_iter().enumerate() {
        let (seq, data) = (seq as u64 + 1, vec![7; len as usize].into());
        session.send_frame(Up::Checkpoint(Checkpoint { lease: lease.clone(), data, seq })).await;
        let verdict = session.wait_for(|frame| match frame {
            Down::CheckpointAck(ack) if ack.seq == seq => Some(ack.verdict()),
            _ => None,
        });
        let expected = if len <= max { Verdict::Recorded } else { Verdict::Fenced };
        assert_eq!(verdict.await, expected, "{len} bytes");
        assert_eq!(get_job(raw, &id).await.checkpoint.len() as u64, len.min(max));
    }
}

fn line(seq: u64, len: u64) -> LogLine {
    LogLine { seq, text: text(len), ..LogLine::default() }
}

/// Sends lines and waits until they are stored.
async fn log(session: &mut RawSession, lease: &Option<Lease>, lines: Vec<LogLine>) {
    let last = lines.last().expect("a line").seq;
    session.send_frame(Up::Log(LogBatch { lease: lease.clone(), lines })).await;
    session
        .wait_for(|frame| match frame {
            Down::LogAck(ack) if ack.seq >= last => Some(()),
            _ => None,
        })
        .await;
}

async fn read_logs(raw: &RawClients, id: &str) -> Vec<LogLine> {
    let request = ReadLogsRequest { id: id.to_owned(), ..ReadLogsRequest::default() };
    let mut pages = raw.jobs.clone().read_logs(request).await.expect("open a log").into_inner();
    let mut lines = Vec::new();
    while let Some(page) = pages.next().await {
        lines.extend(page.expect("a page").lines);
    }
    lines
}

async fn log_line(raw: &RawClients, max: u64) {
    let (mut session, id, lease) = working(raw, "log-line").await;
    let lens = [0, 1, max - 1, max, max + 1, 1 << 20];
    let lines = lens.iter().zip(1..).map(|(len, seq)| line(seq, *len)).collect();
    log(&mut session, &lease, lines).await;
    let kept: Vec<u64> = read_logs(raw, &id).await.iter().map(|l| l.text.len() as u64).collect();
    assert_eq!(kept, lens.map(|len| len.min(max)));
}

async fn log_attempt(raw: &RawClients, max: u64) {
    let (mut session, id, lease) = working(raw, "log-attempt").await;
    let fit = max / l::LOG_LINE_BYTES;
    for (first, last) in [(1, fit / 2), (fit / 2 + 1, fit)] {
        let lines = (first..=last).map(|seq| line(seq, l::LOG_LINE_BYTES)).collect();
        log(&mut session, &lease, lines).await;
    }
    assert_eq!(read_logs(raw, &id).await.len() as u64, fit, "all lines within the limit are kept");
    log(&mut session, &lease, vec![line(fit + 1, 1)]).await;
    let kept = read_logs(raw, &id).await;
    let bytes: usize = kept.iter().map(|line| line.text.len()).sum();
    assert!(bytes as u64 <= max && kept[0].seq > 1, "the oldest lines must be dropped");
    assert_eq!(kept.last().expect("a line").seq, fit + 1);
}

/// Sends a piece of output and returns the number of stored bytes, or the error of the stream.
async fn send_output(
    session: &mut RawSession,
    lease: &Option<Lease>,
    offset: u64,
    len: u64,
) -> Result<u64, Status> {
    let data = vec![b'o'; len as usize].into();
    session.send_frame(Up::Output(Output { lease: lease.clone(), offset, data })).await;
    loop {
        if let Some(Down::OutputAck(ack)) = session.next().await?
            && ack.offset == offset
        {
            assert_eq!(ack.verdict(), Verdict::Recorded);
            return Ok(ack.stored);
        }
    }
}

async fn output_piece(raw: &RawClients, max: u64) {
    let range = format!("1..={max}");
    for len in [0, max + 1, 1 << 20] {
        let (mut session, _, lease) = working(raw, &format!("output-{len}")).await;
        assert_invalid_field(
            send_output(&mut session, &lease, 0, len).await.map(|_| ()),
            "output.data",
            &range,
        );
    }
    let (mut session, _, lease) = working(raw, "output").await;
    assert_eq!(send_output(&mut session, &lease, 0, 1).await.ok(), Some(1));
    assert_eq!(send_output(&mut session, &lease, 1, max).await.ok(), Some(1 + max));
}

async fn output_pieces(raw: &RawClients, max: u64) {
    let (mut session, _, lease) = working(raw, "output-pieces").await;
    for end in 0..max {
        assert_eq!(send_output(&mut session, &lease, end, 1).await.ok(), Some(end + 1));
    }
    assert_eq!(
        send_output(&mut session, &lease, max, 1).await.ok(),
        Some(max),
        "a piece beyond the limit is not stored"
    );
}

async fn output_attempt(raw: &RawClients, max: u64) {
    let (mut session, id, lease) = working(raw, "output-attempt").await;
    let mut end = 0;
    while end < max {
        let len = l::OUTPUT_CHUNK_BYTES.min(max - end);
        end = send_output(&mut session, &lease, end, len).await.expect("the server accepts it");
    }
    assert_eq!(
        send_output(&mut session, &lease, end, 1).await.ok(),
        Some(max),
        "a piece beyond the limit is not stored"
    );
    let request = ReadOutputRequest { id, offset: 1, ..ReadOutputRequest::default() };
    let mut pieces = raw.jobs.clone().read_output(request).await.expect("output").into_inner();
    let mut at = 1;
    while let Some(piece) = pieces.next().await {
        let piece = piece.expect("a piece");
        assert_eq!((piece.run, piece.attempt, piece.offset), (1, 1, at));
        at += piece.data.len() as u64;
    }
    assert_eq!(at, max);
}

async fn run_timeout_slack(raw: &RawClients, slack_ms: u64) {
    let of_kind = spec(|spec| {
        spec.kind = "slow".into();
        spec.run_timeout = Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 });
        spec.retry.get_or_insert_default().max_attempts = 1;
    });
    let id = raw.enqueue(of_kind).await.expect("the server accepts it");
    let joined = RawSession::join(raw, hello(|hello| hello.kinds = vec![kind("slow")])).await;
    let (mut session, _) = joined.expect("a session");
    let start = Instant::now();
    let lease = session.accept_job().await.lease;
    let revoked = wait_until("the lease is revoked", TIMEOUT, || async {
        Some(get_job(raw, &id).await).filter(|job| job.state() != JobState::Running)
    })
    .await;
    assert!(start.elapsed() >= Duration::from_millis(slack_ms), "{:?}", start.elapsed());
    assert_eq!((revoked.state(), revoked.reason()), (JobState::Failed, StateReason::Timeout));
    assert_eq!(session.report(vec![succeeded_report(lease, Vec::new())]).await, [Verdict::Fenced]);
}
