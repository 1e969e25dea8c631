//! Throws bytes at what decodes them: a committed corpus, then mutations of it for a moment
//! in every test run, and for as long as asked in a soak. It runs on stable under any test
//! runner; the crates bring their targets, this one the entropy.
//!
//! A target lives beside the code that it fuzzes, its corpus in `tests/corpus/<target>`,
//! one file an input, named for what it is. A file that starts with `crash` broke something.

mod mutate;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::mutate;
use random::Random;

/// The dose of an ordinary test run.
const SHORT: Duration = Duration::from_millis(700);

/// Longest input that is made up.
const BYTES_MAX: usize = 4_096;

/// Inputs that were of use and are mutated further, beside the corpus.
const KEPT_MAX: usize = 256;

/// Of those that were kept last, so many are tried more often.
const NEWEST: usize = 8;

/// Something that takes bytes from outside.
pub struct Target {
    /// Of the crate: `env!("CARGO_MANIFEST_DIR")`.
    pub manifest_dir: &'static str,
    /// Also the folder of its corpus.
    pub name: &'static str,
    /// Panics where a property does not hold. Answers how far the input got, such as the
    /// number of fields that were accepted: inputs that got further are mutated further.
    pub check: fn(&[u8]) -> usize,
    /// Inputs that the corpus must have, by file name. `SENTINEL_UPDATE=1` writes those that
    /// are missing; what is there is never overwritten.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
}

impl Target {
    /// Replays the corpus, then mutates for a moment.
    pub fn test(&self) {
        self.run(SHORT);
    }

    /// As [`Target::test`], for this part of `SENTINEL_SOAK_MINUTES` (default 1).
    pub fn soak(&self, of: usize) {
        let minutes = std::env::var("SENTINEL_SOAK_MINUTES").ok();
        let minutes: u64 = minutes.and_then(|text| text.parse().ok()).unwrap_or(1);
        self.run(Duration::from_secs(minutes * 60) / u32::try_from(of.max(1)).unwrap_or(1));
    }

    fn run(&self, dose: Duration) {
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
        let end = Instant::now() + dose;
        let mut inputs = 0_u64;
        while Instant::now() < end {
            // What got furthest came last: half of the tries go on from there.
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

    /// Keeps what got as far as anything yet; the oldest goes first.
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
                let told = match std::fs::write(&path, input) {
                    Ok(()) => format!("it is in {}", path.display()),
                    Err(error) => format!("it could not be written: {error}"),
                };
                eprintln!("{}: {from} breaks a property; {told}", self.name);
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

/// Runs `act` and panics when it held more than `bytes` at a time: a length that lies must
/// not be believed.
pub fn within<T>(bytes: usize, act: impl FnOnce() -> T) -> T {
    let mut answer = None;
    let used = allocation_counter::measure(|| answer = Some(act()));
    assert!(used.bytes_max <= bytes as u64, "held {} bytes, not {bytes}", used.bytes_max);
    answer.expect("it ran")
}

#[cfg(test)]
mod tests;
