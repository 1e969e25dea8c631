//! The exported text and the limit on label values.

use super::*;

#[test]
fn metrics_are_exported_with_units_and_totals() {
    let metrics = Metrics::new();
    metrics.enqueued("mail", "mail.send", 3);
    metrics.finished("mail", "mail.send", "succeeded");
    metrics.queue_wait("mail", Duration::from_millis(20));
    metrics.run_duration("mail", "mail.send", Duration::from_secs(2));
    metrics.cancel_latency(Duration::from_millis(5));
    metrics.journal_commit(Duration::from_micros(300), 4, 40);
    metrics.report_verdict("fenced");
    metrics.leases_expired(1);
    metrics.set_jobs([("mail", "READY", 7)]);
    metrics.set_oldest_ready_ages([("mail", Duration::from_secs(3))]);
    metrics.set_watch_streams(2);
    metrics.watch_gap("slow_reader");
    metrics.set_sessions(1, 16);
    metrics.set_ledger_lag(Duration::from_millis(1500));
    metrics.shed("Enqueue", "QUEUE_FULL");
    let trace = Some("0af7651916cd43dd8448eb211c80319c".to_owned());
    metrics.rpc("sentinel.jobs.v1.JobService/Get".into(), "OK", Duration::from_millis(1), trace);
    let text = metrics.to_text();
    for line in [
        r#"sentinel_jobs_enqueued_total{queue="mail",kind="mail.send"} 3"#,
        r#"sentinel_jobs_finished_total{queue="mail",kind="mail.send",outcome="succeeded"} 1"#,
        r#"sentinel_job_queue_wait_seconds_count{queue="mail"} 1"#,
        r#"sentinel_job_run_duration_seconds_sum{queue="mail",kind="mail.send"} 2.0"#,
        r#"sentinel_job_cancel_latency_seconds_count 1"#,
        r#"sentinel_journal_commit_duration_seconds_count 1"#,
        r#"sentinel_journal_commit_groups_sum 4.0"#,
        r#"sentinel_journal_commit_jobs_sum 40.0"#,
        r#"sentinel_reports_total{verdict="fenced"} 1"#,
        r#"sentinel_leases_expired_total 1"#,
        r#"sentinel_jobs{queue="mail",state="READY"} 7"#,
        r#"sentinel_oldest_ready_age_seconds{queue="mail"} 3.0"#,
        r#"sentinel_watch_streams 2"#,
        r#"sentinel_watch_gaps_total{reason="slow_reader"} 1"#,
        r#"sentinel_worker_sessions 1"#,
        r#"sentinel_worker_slots 16"#,
        r#"sentinel_ledger_lag_seconds 1.5"#,
        r#"sentinel_shed_requests_total{method="Enqueue",reason="QUEUE_FULL"} 1"#,
        r#"sentinel_rpc_duration_seconds_count{method="sentinel.jobs.v1.JobService/Get",code="OK"} 1"#,
        r#"{trace_id="0af7651916cd43dd8448eb211c80319c"} 0.001"#,
        r#"sentinel_build_info{version="0.1.0"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn label_values_above_the_limit_are_counted_as_other() {
    let metrics = Metrics::new();
    for at in 0..LABEL_VALUES + 50 {
        metrics.enqueued(&format!("q{at}"), "k", 1);
    }
    metrics.enqueued("q0", "k", 1);
    let text = metrics.to_text();
    assert!(text.contains(r#"sentinel_jobs_enqueued_total{queue="other",kind="k"} 50"#));
    assert!(text.contains(r#"sentinel_jobs_enqueued_total{queue="q0",kind="k"} 2"#));
    let lines = text.lines().filter(|line| line.starts_with("sentinel_jobs_enqueued_total"));
    assert_eq!(lines.count(), LABEL_VALUES + 1);
}

#[test]
fn an_empty_queue_has_no_series() {
    let metrics = Metrics::new();
    metrics.set_jobs([("a", "READY", 7), ("b", "READY", 1)]);
    metrics.set_jobs([("b", "RUNNING", 1)]);
    let text = metrics.to_text();
    assert!(!text.contains(r#"queue="a""#));
    assert!(text.contains(r#"sentinel_jobs{queue="b",state="RUNNING"} 1"#));
}
