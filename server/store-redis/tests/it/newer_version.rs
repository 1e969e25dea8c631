//! Forward compatibility: this version shares a store with a newer one. It keeps working, and
//! preserves data that it does not know.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use redis::Value;
use sentinel_domain::{Command, Job, State, decide};
use sentinel_faults::RedisServer;
use sentinel_store::codec::{self, NamePool};
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, StoreError};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::conformance::run_command;
use crate::support::temp_dir;

const NOW: i64 = 1_000;

/// Field 99 of a message, with five bytes.
const FIELD: [u8; 8] = [0x9a, 0x06, 5, b'l', b'a', b't', b'e', b'r'];

/// The offset of the length of a record's last part.
const REST_LEN: usize = 128;

fn key(name: &str) -> String {
    format!("sentinel:{{s0}}:{name}")
}

async fn record(server: &RedisServer, job: &Job) -> Vec<u8> {
    let id = job.id.as_u128().to_be_bytes();
    let mut read = redis::cmd("HGET");
    read.arg(key("status")).arg(&id);
    match run_command(&server.url(), &read).await {
        Value::BulkString(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// Rewrites a record with an additional field, as a newer server would.
async fn add_unknown_field(server: &RedisServer, job: &Job) {
    let mut bytes = record(server, job).await;
    let length: [u8; 4] = bytes[REST_LEN..REST_LEN + 4].try_into().expect("four bytes");
    let length = u32::from_be_bytes(length) + FIELD.len() as u32;
    bytes[REST_LEN..REST_LEN + 4].copy_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&FIELD);
    let mut write = redis::cmd("HSET");
    write.arg(key("status")).arg(&job.id.as_u128().to_be_bytes()).arg(bytes);
    let () = run_command(&server.url(), &write).await;
}

async fn open(server: &RedisServer) -> RedisStore {
    RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened")
}

async fn read(store: &RedisStore, job: &Job) -> Arc<Job> {
    store.read(vec![job.id]).await.expect("a reply").remove(0).expect("is there")
}

#[tokio::test]
async fn unknown_fields_survive_changes() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let store = open(&server).await;
    let mut writer = fixture::Writer::new(1);
    let (job, session) = (fixture::job("q", "k", NOW, 1), fixture::session(7));
    store
        .commit(writer.request(NOW).transaction(fixture::create(&job)).build())
        .await
        .expect("committed");
    add_unknown_field(&server, &job).await;
    // A new store, because the writer may have cached the spec.
    let store = open(&server).await;
    let mut writer = fixture::Writer::new(2);
    let call = writer
        .request(NOW)
        .transaction(fixture::put_session(session, 2, 60_000))
        .claim(fixture::claim(session, &["q"], &["k"], 1));
    let claimed = store.commit(call.build()).await.expect("committed").claimed.remove(0);
    assert_eq!(
        claimed[0].status.unknown_fields.as_deref(),
        Some(&FIELD[..]),
        "the claim preserves it"
    );
    let cancel = Command::Cancel { reason: "late".into(), actor: "test".into() };
    let job = read(&store, &job).await;
    let decision = decide(&job, &cancel, NOW + 1).expect("is allowed");
    let call = writer.request(NOW + 1).transaction(fixture::update(&job, decision)).build();
    store.commit(call).await.expect("committed");
    let after = read(&store, &job).await;
    assert!(after.status.cancel.is_some() && after.status.version > job.status.version);
    assert_eq!(after.status.state, State::Running);
    assert!(record(&server, &job).await.ends_with(&FIELD), "the record preserves it");
    // The journal preserves it for the ledger.
    let JournalPage::Entries(entries) =
        store.read_journal(Position::default(), 100).await.expect("a reply")
    else {
        panic!("nothing was trimmed")
    };
    let last = &entries.last().expect("entries").jobs.last().expect("a change").status;
    let stored = codec::encode_status(last);
    assert!(stored.ends_with(&FIELD));
    let back = codec::decode_status(stored.into(), &mut NamePool::default()).expect("a status");
    assert_eq!(&back, last);
}

/// Appends an entry with an event of another kind, as a newer server would.
async fn append_event(server: &RedisServer, at: Position, kind: &str) {
    let mut write = redis::cmd("XADD");
    write.arg(key("journal")).arg(at.to_string()).arg("t").arg(NOW).arg(kind).arg("later");
    let () = run_command(&server.url(), &write).await;
    let mut seq = redis::cmd("HSET");
    seq.arg(key("meta")).arg("seq").arg(at.seq);
    let () = run_command(&server.url(), &seq).await;
}

#[tokio::test]
async fn unknown_events_are_ignored_only_if_they_are_optional() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let store = open(&server).await;
    let mut writer = fixture::Writer::new(1);
    let job = fixture::job("q", "k", NOW, 1);
    store
        .commit(writer.request(NOW).transaction(fixture::create(&job)).build())
        .await
        .expect("committed");
    let head = *store.head().borrow();
    let next = |by: u64| Position { seq: head.seq + by, ..head };
    append_event(&server, next(1), "z").await;
    let store = open(&server).await;
    let JournalPage::Entries(entries) = store.read_journal(head, 10).await.expect("a reply") else {
        panic!("nothing was trimmed")
    };
    assert_eq!((entries.len(), entries[0].position, entries[0].at), (1, next(1), NOW));
    // An unknown mandatory event fails with an error that explains it.
    append_event(&server, next(2), "Z").await;
    let store = open(&server).await;
    let refused = store.read_journal(next(1), 10).await.expect_err("not ignored");
    assert!(matches!(refused, StoreError::Damaged(_)), "{refused:?}");
    assert!(refused.to_string().contains("newer version"), "{refused}");
}

#[tokio::test]
async fn a_record_of_another_layout_is_refused_and_unchanged() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let store = open(&server).await;
    let mut writer = fixture::Writer::new(1);
    let job = fixture::job("q", "k", NOW, 1);
    store
        .commit(writer.request(NOW).transaction(fixture::create(&job)).build())
        .await
        .expect("committed");
    let mut bytes = BytesMut::from(&record(&server, &job).await[..]);
    bytes[0] = 2;
    bytes.put_u8(0);
    let mut write = redis::cmd("HSET");
    write.arg(key("status")).arg(&job.id.as_u128().to_be_bytes()).arg(&bytes[..]);
    let () = run_command(&server.url(), &write).await;
    let refused = open(&server).await.read(vec![job.id]).await.expect_err("not decoded");
    assert!(refused.to_string().contains("format 2"), "{refused}");
    assert_eq!(record(&server, &job).await, bytes);
}
