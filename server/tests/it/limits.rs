//! Both sides of every limit of the table, over the wire: a real server, raw messages. A row
//! of the table that nobody proves fails the test.

mod call;
mod session;
mod spec;

use sentinel_domain::limits::{Limit, TABLE};

use crate::harness::World;
use crate::raw::Raw;

/// Limits that take too long or too much to reach through a server, and the test that
/// reaches each from below: file and function.
const BELOW: &[(&str, &str, &str)] = &[
    ("COUNT_CAP", "server/ledger/src/sqlite/tests.rs", "a_count_stops_at_its_cap"),
    ("SUMMARY_SHOWN", "server/engine/tests/it/summary.rs", "of_all_queues_the_first_are_shown"),
    ("BULK_LOOKS", "server/ledger/tests/it/model.rs", "a_preview_stops_at_its_looks"),
    ("REQUEST_TTL_MS", "server/store/src/conformance/cases/requests.rs", "forgotten_in_time"),
    (
        "REQUESTS_MAX",
        "server/store-embedded/src/requests/tests.rs",
        "the_oldest_requests_are_forgotten",
    ),
    (
        "REQUESTS_BYTES",
        "server/store-embedded/src/requests/tests.rs",
        "the_oldest_answers_are_forgotten",
    ),
    (
        "INGEST_WINDOW_ITEMS",
        "server/tests/it/ingest/protocol.rs",
        "the_window_holds_and_is_freed_by_what_is_told",
    ),
    (
        "INGEST_WINDOW_BYTES",
        "server/tests/it/ingest/protocol.rs",
        "the_window_holds_and_is_freed_by_what_is_told",
    ),
    ("INGEST_STREAMS", "server/engine/tests/it/ingest.rs", "a_server_takes_so_many_streams"),
    ("INGEST_BYTES", "server/engine/tests/it/ingest.rs", "what_waits_of_all_streams_is_bounded"),
    ("INGEST_POSITION_TTL_MS", "server/store/src/conformance/cases/requests.rs", "remembered_anew"),
    ("KEEP_SUCCEEDED_MS", "server/engine/tests/it/retain.rs", "each_state_goes_at_its_age"),
    ("KEEP_UNSUCCESSFUL_MS", "server/engine/tests/it/retain.rs", "each_state_goes_at_its_age"),
    ("KEEP_FINISHED_MAX", "server/engine/tests/it/retain.rs", "a_queue_keeps_the_newest"),
    ("KEYS_MAX", "server/ledger/src/sqlite/tests.rs", "keys_stop_at_their_cap"),
    ("KEY_QUEUES", "server/domain/src/identity/tests.rs", "a_scope_is_checked"),
    ("AUDIT_MAX", "server/ledger/tests/it/identity.rs", "the_trail_keeps_the_newest"),
    (
        "AUDIT_REFUSALS",
        "server/tests/it/identity/audit.rs",
        "who_is_refused_in_a_loop_fills_no_trail",
    ),
    ("KEY_KEEP_MS", "server/ledger/tests/it/identity.rs", "old_keys_make_room"),
    (
        "AUDIT_KEEP_MS",
        "server/ledger/tests/it/identity.rs",
        "the_trail_is_read_in_pages_and_forgets_in_time",
    ),
    ("KINDS_MAX", "server/ledger/tests/it/kinds.rs", "those_not_seen_for_longest_make_room"),
    ("KIND_KEEP_MS", "server/engine/tests/it/kinds.rs", "a_kind_that_nobody_has_is_forgotten"),
    ("CRASHES_MAX", "server/engine/tests/it/lost.rs", "three_crashes_are_poison"),
];

fn is_proven_below(limit: &Limit) -> bool {
    BELOW.iter().filter(|(name, ..)| *name == limit.name).any(|(_, file, test)| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
        let text = std::fs::read_to_string(format!("{root}{file}")).unwrap_or_default();
        assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
        true
    })
}

#[tokio::test]
async fn every_limit_of_the_table_holds_on_the_wire() {
    let world = World::start().await;
    let raw = Raw::connect(&world).await;
    for limit in TABLE {
        let proven = spec::prove(&raw, limit).await
            || call::prove(&raw, limit).await
            || session::prove(&raw, limit).await
            || is_proven_below(limit);
        assert!(proven, "{} has no test of its boundary", limit.name);
    }
}

fn text(len: u64) -> String {
    "x".repeat(len as usize)
}

/// Names that are none, each for another reason.
fn not_names() -> Vec<String> {
    let mut found = vec![String::new(), text(129), "x".repeat(1 << 20)];
    let forbidden = (0..=0x7f_u8).map(char::from).chain(['é', '\u{80}', '\u{202e}', '🦀']);
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    found.extend(forbidden.filter(|c| !is_allowed(c)).map(|c| format!("a{c}b")));
    found
}

pub(crate) const NAME_RANGE: &str = "1 to 128 characters of [A-Za-z0-9._-]";
