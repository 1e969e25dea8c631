//! Log lines are stored once, in order, and within their size limit.

use sentinel_domain::JobId;
use sentinel_domain::limits::LOG_ATTEMPT_BYTES;
use sentinel_ledger::{LogCursor, LogQuery, LogRow};

use crate::backend::{BackendKind, fresh_ledger, on_every_backend};
use crate::journal_fixture::START;

on_every_backend!(
    lines_are_stored_once_and_sorted_by_run_and_attempt,
    the_oldest_lines_are_dropped_at_the_size_limit,
);

fn row(run: u32, attempt: u32, seq: u64, text: &str) -> LogRow {
    let job = JobId::new(START, 0, 1);
    LogRow { job, run, attempt, seq, at: START + 1, level: 3, text: text.to_owned() }
}

fn query(limit: usize) -> LogQuery {
    LogQuery { job: JobId::new(START, 0, 1), attempt: None, after: None, limit }
}

async fn lines_are_stored_once_and_sorted_by_run_and_attempt(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let mut rows = Vec::new();
    for (run, attempt) in [(1, 1), (1, 2), (2, 1)] {
        rows.extend((0..10).map(|seq| row(run, attempt, seq, "line")));
    }
    let mut mixed = rows.clone();
    mixed.reverse();
    ledger.append_logs(mixed).await.expect("written");
    ledger.append_logs(rows.clone()).await.expect("written again");
    assert_eq!(ledger.log_bytes(rows[0].job, 1, 1).await, Ok(40));
    let mut found: Vec<LogRow> = Vec::new();
    loop {
        let after = found.last().map(LogRow::cursor);
        let page = ledger.read_logs(LogQuery { after, ..query(4) }).await.expect("lines");
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, rows);
    let first = LogQuery { attempt: Some(1), ..query(100) };
    let of_first: Vec<_> = rows.iter().filter(|row| row.attempt == 1).cloned().collect();
    assert_eq!(ledger.read_logs(first).await.expect("lines"), of_first);
    let after = Some(LogCursor { run: 1, attempt: 1, seq: u64::MAX });
    let rest = ledger.read_logs(LogQuery { after, ..query(100) }).await.expect("lines");
    assert_eq!(rest, rows[10..]);
}

async fn the_oldest_lines_are_dropped_at_the_size_limit(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let text = "y".repeat(64 << 10);
    let fit = LOG_ATTEMPT_BYTES / (64 << 10);
    let rows: Vec<_> = (0..fit + 5).map(|seq| row(1, 1, seq, &text)).collect();
    let other = row(1, 2, 0, "other");
    ledger.append_logs(rows[..fit as usize].to_vec()).await.expect("written");
    assert_eq!(ledger.log_bytes(other.job, 1, 1).await, Ok(LOG_ATTEMPT_BYTES));
    ledger.append_logs(vec![other.clone()]).await.expect("written");
    ledger.append_logs(rows[fit as usize..].to_vec()).await.expect("written");
    ledger.append_logs(rows[..5].to_vec()).await.expect("written");
    assert_eq!(ledger.log_bytes(other.job, 1, 1).await, Ok(LOG_ATTEMPT_BYTES));
    let found = ledger.read_logs(query(1_000)).await.expect("lines");
    let mut expected = rows[5..].to_vec();
    expected.push(other);
    assert!(found == expected, "{} lines, not {}", found.len(), expected.len());
}
