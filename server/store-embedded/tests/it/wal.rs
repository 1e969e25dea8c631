//! Truncated and damaged write-ahead logs: the store opens with all acknowledged entries, except at
//! most the last one, or it does not open.

use std::ops::Range;
use std::path::{Path, PathBuf};

use sentinel_domain::JobId;
use sentinel_store::conformance::fixture;
use sentinel_store::{Position, Store};
use sentinel_store_embedded::{EmbeddedStore, LedgerState, OpenError};

use crate::durability::options;

const HEADER: u64 = 32;
const FRAME: u64 = 24 + 8_192;

/// The data directory of a killed process, with entries in the write-ahead log.
struct KilledStore {
    dir: tempfile::TempDir,
    /// The job of each entry, and the size of the log after its commit.
    entries: Vec<(JobId, u64)>,
    epoch: u64,
}

impl KilledStore {
    async fn after(entries: u64) -> Self {
        let source = tempfile::tempdir().expect("a directory");
        let store = EmbeddedStore::open(options(source.path(), 1_000), LedgerState::default())
            .expect("the store opens");
        let mut writer = fixture::Writer::new(1);
        let mut known = Vec::new();
        for n in 0..entries {
            // Some entries span several pages.
            let large = |new: &mut sentinel_domain::NewJob| {
                new.payload = vec![b'x'; if n % 3 == 2 { 30_000 } else { 10 }].into();
            };
            let job = fixture::job_from_spec(fixture::spec("q", "k", 1_000, large), 1_000, n);
            store
                .commit(writer.request(1_000).transaction(fixture::create(&job)).build())
                .await
                .expect("the commit succeeds");
            let log = std::fs::metadata(log_of(source.path())).expect("a log");
            known.push((job.id, log.len()));
        }
        let dir = tempfile::tempdir().expect("a directory");
        copy(source.path(), dir.path());
        let epoch = store.head().borrow().epoch;
        Self { dir, entries: known, epoch }
    }

    /// Opens a copy with a changed log, and returns the number of its entries. They must be the
    /// first ones.
    async fn opened(
        &self,
        checkpoint: u64,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Result<usize, OpenError> {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.expect("a directory");
        copy(self.dir.path(), dir.path());
        let mut log = std::fs::read(log_of(dir.path())).expect("the log");
        change(&mut log);
        std::fs::write(log_of(dir.path()), log).expect("written");
        let epoch = if checkpoint == 0 { 0 } else { self.epoch };
        let checkpoint = Position { epoch, seq: checkpoint };
        let ledger = LedgerState { checkpoint, ..LedgerState::default() };
        let store = EmbeddedStore::open(options(dir.path(), 2_000), ledger)?;
        let ids = self.entries.iter().map(|(id, _)| *id).collect();
        let jobs = store.read(ids).await.expect("the store answers");
        let count = usize::try_from(store.head().borrow().seq).expect("few");
        for (at, job) in jobs.iter().enumerate() {
            let was_projected = (at as u64) < checkpoint.seq;
            assert_eq!(job.is_some(), at < count && !was_projected, "a prefix, entry {at}");
        }
        Ok(count)
    }

    /// Returns the frames of an entry.
    fn frames(&self, entry: usize) -> Range<u64> {
        let from = if entry == 0 { 0 } else { (self.entries[entry - 1].1 - HEADER) / FRAME };
        from..(self.entries[entry].1 - HEADER) / FRAME
    }
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("journal/journal-00000000000000000001.sqlite-wal")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("journal")).expect("a directory");
    for entry in std::fs::read_dir(from.join("journal")).expect("a journal") {
        let entry = entry.expect("readable");
        // The index of the log is rebuilt.
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            let to = to.join("journal").join(entry.file_name());
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[tokio::test]
async fn a_truncated_log_has_all_entries_before_the_cut() {
    let killed = KilledStore::after(7).await;
    let end = killed.entries.last().expect("entries").1;
    let mut cuts = vec![0, 1, HEADER - 1, HEADER, HEADER + 1];
    for frame in 0..(end - HEADER) / FRAME {
        let start = HEADER + frame * FRAME;
        cuts.extend([start, start + 1, start + 23, start + 24, start + 25, start + 4_000]);
        cuts.extend([start + FRAME - 1, start + FRAME]);
    }
    for cut in cuts {
        let whole = killed.entries.iter().filter(|(_, ends)| *ends <= cut).count();
        let cut_off = |log: &mut Vec<u8>| log.truncate(cut as usize);
        assert_eq!(
            killed.opened(0, cut_off).await.expect("the store opens"),
            whole,
            "cut at {cut}"
        );
        // An entry in the ledger was acknowledged, so its loss is detected.
        let result = killed.opened(whole as u64 + 1, cut_off).await;
        assert!(
            matches!(result, Err(OpenError::LedgerAhead { .. })) || whole == killed.entries.len(),
            "cut at {cut}: {result:?}"
        );
    }
}

#[tokio::test]
async fn a_damaged_log_is_refused_unless_only_the_last_commit_is_affected() {
    let killed = KilledStore::after(6).await;
    let last = killed.entries.len() - 1;
    for entry in 0..=last {
        for frame in killed.frames(entry) {
            let start = HEADER + frame * FRAME;
            // The page number, the checksum, and two bytes of the page.
            for at in [start, start + 16, start + 24, start + 6_000] {
                let flip = |log: &mut Vec<u8>| log[at as usize] ^= 1;
                let opened = killed.opened(0, flip).await;
                match opened {
                    Err(OpenError::Damaged { file, detail }) => {
                        assert!(entry < last, "{detail}");
                        assert!(file.ends_with("journal-00000000000000000001.sqlite-wal"));
                    }
                    Ok(count) => assert_eq!((count, entry), (last, last), "flipped {at}"),
                    Err(error) => panic!("flipped {at}: {error}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_log_with_a_damaged_header_is_refused() {
    let killed = KilledStore::after(4).await;
    for at in [0, 8, 16, 24, 31] {
        let result = killed.opened(0, |log| log[at] ^= 1).await;
        assert!(matches!(result, Err(OpenError::Damaged { .. })), "byte {at}: {result:?}");
    }
}

#[tokio::test]
async fn a_damaged_page_of_a_closed_file_loses_no_entry() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(options(dir.path(), 1_000), LedgerState::default())
        .expect("the store opens");
    let mut writer = fixture::Writer::new(1);
    for n in 0..43 {
        let request = writer
            .request(1_000)
            .transaction(fixture::create(&fixture::job("q", "k", 1_000, n)))
            .build();
        store.commit(request).await.expect("the commit succeeds");
    }
    drop(store);
    let file = dir.path().join("journal/journal-00000000000000000001.sqlite");
    let good = std::fs::read(&file).expect("a file");
    let mut refused = 0;
    let page_headers = (0..good.len()).step_by(8_192).flat_map(|page| page..page + 48);
    let all = (0..good.len()).step_by(509).map(|at| (at, 0x55));
    for (at, bits) in all.chain(page_headers.flat_map(|at| [1, 2, 4, 0x55].map(|bits| (at, bits))))
    {
        let mut bad = good.clone();
        bad[at] ^= bits;
        std::fs::write(&file, bad).expect("written");
        match EmbeddedStore::open(options(dir.path(), 2_000), LedgerState::default()) {
            // The damage is in free space or in counters.
            Ok(store) => {
                assert_eq!(store.head().borrow().seq, 43, "byte {at}");
                let depths = store.depths().await.expect("the store answers");
                assert_eq!(depths[0].count, 43, "byte {at}");
            }
            Err(error) => {
                refused += 1;
                let result = error.to_string();
                assert!(result.contains("journal"), "byte {at}: {result}");
            }
        }
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
        }
    }
    assert!(refused >= 10, "{refused}");
}
