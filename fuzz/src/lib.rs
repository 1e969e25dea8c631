//! A fuzzer for decoders that runs as an ordinary test on stable Rust: it replays a committed corpus
//! and then mutates it, for 0.7 s in a test run and for minutes in a soak test. Hand-written because
//! bolero has no measure of memory and brings 30 packages (docs/decisions/005).
//!
//! The targets are in the crates that they test. A corpus is in `tests/corpus/<target>`, one file per
//! input. A file whose name starts with `crash` once failed.

mod mutate;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::mutate;
use random::Random;

/// Duration in a test run.
const SHORT: Duration = Duration::from_millis(700);

/// Length of the longest generated input in bytes.
const BYTES_MAX: usize = 4_096;

/// Generated inputs that are kept for further mutation.
const KEPT_MAX: usize = 256;

/// The newest inputs of this number are chosen more often.
const NEWEST: usize = 8;

/// A decoder under test.
pub struct Target {
    /// `env!("CARGO_MANIFEST_DIR")` of the crate.
    pub manifest_dir: &'static str,
    /// The name, which is also the folder of the corpus.
    pub name: &'static str,
    /// Panics when a property does not hold. Returns how far the input got, such as the number of
    /// accepted fields: inputs that got furthest are mutated further.
    pub check: fn(&[u8]) -> usize,
    /// Inputs that the corpus must contain, by file name. `SENTINEL_UPDATE=1` writes missing ones and
    /// never overwrites a file.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
}

impl Target {
    /// Replays the corpus, then mutates it for 0.7 s.
    pub fn test(&self) {
        self.run(SHORT);
    }

    /// Like [`Target::test`], for `SENTINEL_SOAK_MINUTES / of` minutes (default 1).
    pub fn soak(&self, of: usize) {
        let minutes = std::env::var("SENTINEL_SOAK_MINUTES").ok();
        let minutes: u64 = minutes.and_then(|text| text.parse().ok()).unwrap_or(1);
        self.run(Duration::from_secs(minutes * 60) / u32::try_from(of.max(1)).unwrap_or(1));
    }

    fn run(&self, duration: Duration) {
        let corpus = self.corpus();
        for (file, input) in &corpus {
            self.check(input, &format!("{}", file.display()));
        }
        let seed = random::seed();
        let mut random = Random::new(seed);
        let mut pool: Vec<(usize, Vec<u8>)> = Vec::new();
        for (_, input) in corpus {
            pool.push(((self.check)(&input), input));
        }
        let committed = pool.len();
        let end = Instant::now() + duration;
        let mut inputs = 0_u64;
        while Instant::now() < end {
            // The inputs that got furthest are last: half of the mutations start there.
            let newest = if random.below(2) == 0 { NEWEST.min(pool.len()) } else { pool.len() };
            let (_, base) = &pool[pool.len() - 1 - random.below(newest)];
            let (_, other) = &pool[random.below(pool.len())];
            let mut input = mutate(base, other, &mut random);
            input.truncate(BYTES_MAX);
            let reached =
                self.check(&input, &format!("input {inputs} of SENTINEL_TEST_SEED={seed}"));
            inputs += 1;
            self.keep(&mut pool, committed, (reached, input));
        }
        println!("{}: {inputs} inputs, seed {seed}", self.name);
    }

    /// Keeps an input that got as far as any before; the oldest one is dropped.
    fn keep(&self, pool: &mut Vec<(usize, Vec<u8>)>, committed: usize, found: (usize, Vec<u8>)) {
        let furthest = pool[committed..].iter().map(|(reached, _)| *reached).max().unwrap_or(0);
        if found.0 > furthest || (found.0 == furthest && found.0 > 0 && pool.len() < KEPT_MAX) {
            if pool.len() >= committed + KEPT_MAX {
                pool.remove(committed);
            }
            pool.push(found);
        }
    }

    fn check(&self, input: &[u8], from: &str) -> usize {
        match catch_unwind(AssertUnwindSafe(|| (self.check)(input))) {
            Ok(reached) => reached,
            Err(panic) => {
                let path = std::env::temp_dir().join(format!("{}-crash", self.name));
                let place = match std::fs::write(&path, input) {
                    Ok(()) => format!("it is in {}", path.display()),
                    Err(error) => format!("it could not be written: {error}"),
                };
                eprintln!("{}: {from} violates a property; {place}", self.name);
                eprintln!("keep it as tests/corpus/{}/crash-<what>", self.name);
                resume_unwind(panic)
            }
        }
    }

    fn corpus(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(self.manifest_dir).join("tests/corpus").join(self.name);
        if std::env::var_os("SENTINEL_UPDATE").is_some() {
            std::fs::create_dir_all(&folder).expect("the corpus can be written");
            for (name, input) in (self.seeds)() {
                let file = folder.join(name);
                if !file.exists() {
                    std::fs::write(file, input).expect("the corpus can be written");
                }
            }
        }
        let listed = std::fs::read_dir(&folder).map(|files| files.flatten().collect());
        let mut listed: Vec<_> = listed.unwrap_or_default();
        listed.sort_by_key(std::fs::DirEntry::path);
        for (name, _) in (self.seeds)() {
            let is_there = listed.iter().any(|file| file.file_name() == name);
            assert!(is_there, "{}/{name} is missing: run with SENTINEL_UPDATE=1", folder.display());
        }
        assert!(!listed.is_empty(), "{} is empty", folder.display());
        let read = |path: PathBuf| {
            let input = std::fs::read(&path).expect("the corpus can be read");
            (path, input)
        };
        listed.into_iter().map(|file| read(file.path())).collect()
    }
}

/// Runs `act` and panics if it allocated more than `bytes` at a time: a decoder must not trust a
/// length in its input.
pub fn within<T>(bytes: usize, act: impl FnOnce() -> T) -> T {
    let mut answer = None;
    let used = allocation_counter::measure(|| answer = Some(act()));
    assert!(used.bytes_max <= bytes as u64, "held {} bytes, not {bytes}", used.bytes_max);
    answer.expect("it ran")
}

#[cfg(test)]
mod tests;
