//! Tests both sides of every limit in the table over the wire. A limit without a test fails.

mod call;
mod session;
mod spec;

use sentinel_domain::limits::{Limit, TABLE};

use crate::harness::TestServer;
use crate::raw::RawClients;

/// Limits that take too much time or memory to reach through a server. Each has a unit or component
/// test: file and function.
const TESTED_ELSEWHERE: &[(&str, &str, &str)] = &[
    ("COUNT_CAP", "server/ledger/src/sqlite/tests.rs", "a_count_stops_at_its_cap"),
    (
        "SUMMARY_QUEUES_DEFAULT",
        "server/engine/tests/it/summary.rs",
        "a_summary_of_all_queues_has_the_first_ones",
    ),
    (
        "BULK_PREVIEW_JOBS",
        "server/ledger/tests/it/model.rs",
        "a_count_of_matches_stops_at_the_scan_limit",
    ),
    ("IDEMPOTENCY_TTL_MS", "server/store/src/conformance/cases/idempotency.rs", "a_record_expires"),
    (
        "IDEMPOTENCY_RECORDS_MAX",
        "server/store-embedded/src/idempotency/tests.rs",
        "the_oldest_records_are_removed_at_the_limit",
    ),
    (
        "IDEMPOTENCY_BYTES",
        "server/store-embedded/src/idempotency/tests.rs",
        "the_oldest_responses_are_removed_at_the_limit",
    ),
    (
        "INGEST_WINDOW_ITEMS",
        "server/tests/it/ingest/protocol.rs",
        "the_window_is_limited_and_freed_by_committed_frames",
    ),
    (
        "INGEST_WINDOW_BYTES",
        "server/tests/it/ingest/protocol.rs",
        "the_window_is_limited_and_freed_by_committed_frames",
    ),
    ("INGEST_STREAMS", "server/engine/tests/it/ingest.rs", "a_server_limits_its_ingest_streams"),
    (
        "INGEST_BYTES",
        "server/engine/tests/it/ingest.rs",
        "the_pending_bytes_of_all_streams_are_limited",
    ),
    (
        "PRODUCER_OFFSET_TTL_MS",
        "server/store/src/conformance/cases/idempotency.rs",
        "a_producer_offset_is_replaced_only_from_the_expected_value",
    ),
    (
        "SUCCEEDED_RETENTION_MS",
        "server/engine/tests/it/retention.rs",
        "each_state_has_its_own_retention",
    ),
    (
        "UNSUCCESSFUL_RETENTION_MS",
        "server/engine/tests/it/retention.rs",
        "each_state_has_its_own_retention",
    ),
    (
        "KEEP_TERMINAL_MAX",
        "server/engine/tests/it/retention.rs",
        "a_queue_keeps_its_newest_terminal_jobs",
    ),
    ("KEYS_MAX", "server/ledger/src/sqlite/tests.rs", "api_keys_stop_at_their_limit"),
    ("KEY_QUEUES", "server/domain/src/identity/tests.rs", "invalid_scopes_are_refused"),
    (
        "AUDIT_MAX",
        "server/ledger/tests/it/identity.rs",
        "trimming_the_audit_log_keeps_the_newest_entries",
    ),
    (
        "AUDIT_REFUSALS",
        "server/tests/it/identity/audit.rs",
        "repeated_refusals_are_limited_in_the_audit_log",
    ),
    (
        "KEY_RETENTION_MS",
        "server/ledger/tests/it/identity.rs",
        "ended_api_keys_are_deleted_after_their_retention",
    ),
    (
        "AUDIT_RETENTION_MS",
        "server/ledger/tests/it/identity.rs",
        "the_audit_log_is_paged_and_old_entries_are_deleted",
    ),
    (
        "KINDS_MAX",
        "server/ledger/tests/it/kinds.rs",
        "the_least_recently_seen_kinds_are_deleted_at_the_limit",
    ),
    ("KIND_RETENTION_MS", "server/engine/tests/it/kinds.rs", "a_kind_without_workers_is_forgotten"),
    ("CRASHES_MAX", "server/engine/tests/it/worker_loss.rs", "three_crashes_poison_a_job"),
];

fn is_tested_elsewhere(limit: &Limit) -> bool {
    TESTED_ELSEWHERE.iter().filter(|(name, ..)| *name == limit.name).any(|(_, file, test)| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
        let text = std::fs::read_to_string(format!("{root}{file}")).unwrap_or_default();
        assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
        true
    })
}

#[tokio::test]
async fn every_limit_in_the_table_is_enforced() {
    let server = TestServer::start().await;
    let raw = RawClients::connect(&server).await;
    for limit in TABLE {
        let is_tested = spec::check(&raw, limit).await
            || call::check(&raw, limit).await
            || session::check(&raw, limit).await
            || is_tested_elsewhere(limit);
        assert!(is_tested, "{} has no test", limit.name);
    }
}

/// Returns a string of this length.
fn text(len: u64) -> String {
    "x".repeat(len as usize)
}

/// Returns invalid names, each for a different reason.
fn invalid_names() -> Vec<String> {
    let mut found = vec![String::new(), text(129), "x".repeat(1 << 20)];
    let forbidden = (0..=0x7f_u8).map(char::from).chain(['é', '\u{80}', '\u{202e}', '🦀']);
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    found.extend(forbidden.filter(|c| !is_allowed(c)).map(|c| format!("a{c}b")));
    found
}

pub(crate) const NAME_RANGE: &str = "1 to 128 characters of [A-Za-z0-9._-]";
