//! Fuzz tests of journal files: a corrupt file is opened correctly or refused with an error that
//! contains its path. An invalid entry with a correct hash is also refused.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use sentinel_domain::invariant;
use sentinel_fuzz::Target;
use sentinel_store::conformance::fixture;
use sentinel_store::{Store, content_hash};
use sentinel_store_embedded::{EmbeddedStore, LedgerState, OpenError};

use crate::durability::options;

fn open(dir: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(options(dir, 2_000), LedgerState::default())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// Returns a directory with a journal file of a few entries.
fn directory_with_journal() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(options(dir.path(), 1_000), LedgerState::default())
        .expect("the store opens");
    let mut writer = fixture::Writer::new(1);
    runtime().block_on(async {
        for n in 0..4 {
            let transaction = fixture::create(&fixture::job("q", "k", 1_000, n));
            store
                .commit(writer.request(1_000).transaction(transaction).build())
                .await
                .expect("the commit succeeds");
        }
    });
    drop(store);
    dir
}

fn journal(dir: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(dir.join("journal")).expect("a journal").flatten();
    let mut files = files.map(|file| file.path());
    files.find(|path| path.extension().is_some_and(|e| e == "sqlite")).expect("a file")
}

/// Opens the journal and reads its jobs. Returns the depth that was reached.
fn open_and_read(dir: &Path) -> usize {
    let store = match open(dir) {
        Ok(store) => store,
        Err(error) => {
            assert!(error.to_string().contains("journal"), "{error}");
            return 1;
        }
    };
    let ids: Vec<_> = (0..4).map(|n| fixture::job("q", "k", 1_000, n).id).collect();
    let jobs = runtime().block_on(store.read(ids)).expect("reads");
    for job in jobs.iter().flatten() {
        assert!(!job.spec.queue.is_empty() || job.status.version > 0);
        let _ = invariant::violated(job);
    }
    2 + jobs.iter().flatten().count()
}

/// The input is a list of changes to a valid file: two bytes of position and one of value each.
const FILE: Target = Target {
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    name: "journal_file",
    check: |bytes| {
        let dir = directory_with_journal();
        let path = journal(dir.path());
        let mut file = std::fs::read(&path).expect("reads");
        for change in bytes.chunks_exact(3) {
            let at = usize::from(change[0]) << 8 | usize::from(change[1]);
            let len = file.len();
            file[at % len] = change[2];
        }
        std::fs::write(&path, file).expect("writes");
        open_and_read(dir.path())
    },
    seeds: || {
        vec![
            ("untouched", Vec::new()),
            ("no-sqlite", vec![0, 0, b'X']),
            ("page-size", vec![0, 16, 0, 0, 17, 1]),
            ("a-body", vec![0x3f, 0xf0, 0xff]),
        ]
    },
};

/// The input is the body of an entry with a correct hash.
const BODY: Target = Target {
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    name: "journal_entry",
    check: |bytes| {
        let dir = directory_with_journal();
        let path = journal(dir.path());
        let mut file = SqliteConnection::establish(&path.to_string_lossy()).expect("a database");
        diesel::sql_query("INSERT INTO entries SELECT MAX(seq) + 1, 1000, ?, ? FROM entries")
            .bind::<BigInt, _>(content_hash(bytes).cast_signed())
            .bind::<Binary, _>(bytes)
            .execute(&mut file)
            .expect("a row");
        drop(file);
        open_and_read(dir.path())
    },
    seeds: || {
        vec![
            ("empty", Vec::new()),
            ("no-message", vec![0xff; 9]),
            ("a-job-without-a-status", vec![0x12, 0x02, 0x0a, 0x00]),
            ("a-queue-without-a-name", vec![0x1a, 0x00]),
        ]
    },
};

#[test]
fn journal_files() {
    FILE.test();
}

#[test]
fn journal_entries() {
    BODY.test();
}

#[test]
#[ignore = "runs for minutes: cargo xtask soak"]
fn soak_journals() {
    [&FILE, &BODY].iter().for_each(|target| target.soak(2));
}
