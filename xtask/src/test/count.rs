//! How many test cases passed and failed, read from the closing lines of the runners.

use std::ops::AddAssign;

/// Number of slow cases that a run remembers.
const SLOWEST_MAX: usize = 40;

/// How the closing line of nextest begins.
const SUMMARY: &str = "     Summary [";

/// Test cases of a step. `ignored` ones are the soak tests of `cargo xtask soak`.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// Why each skipped case could not run here.
    pub(crate) skipped: Vec<String>,
    /// Cases that failed once and passed when repeated alone. They count as passed.
    pub(crate) flaky: Vec<Flaky>,
    /// Seconds of the slowest cases, slowest first.
    pub(crate) slowest: Vec<(String, f64)>,
}

/// A case that failed once and passed when repeated alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaky {
    pub(crate) name: String,
    /// What it printed when it failed.
    pub(crate) failure: String,
    /// What the repetition printed.
    pub(crate) repetition: String,
}

impl Count {
    /// A check that holds is one case.
    pub(crate) fn success() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    pub(crate) fn failure() -> Self {
        Self { failed: 1, ..Self::default() }
    }

    /// Adds up every closing line of libtest and nextest in `output`. A runner that failed
    /// without counting a failure (it did not compile, it was killed) counts one.
    pub(crate) fn parse(output: &str, success: bool) -> Self {
        let mut count = Self::default();
        // Where nothing is captured, nextest shows the closing line of each test's process.
        let is_nextest = output.lines().any(|line| line.starts_with(SUMMARY));
        // Taken with their exact indentation: nextest repeats the output of a failed test, in
        // which there is a closing line of libtest, four blanks further in.
        for line in output.lines() {
            if let Some(tail) = line.strip_prefix("test result: ").filter(|_| !is_nextest) {
                count.add_words(tail.split_once(". ").map_or("", |(_, words)| words), ';');
            } else if let Some(number) = line.strip_prefix("# pass ") {
                add(&mut count.passed, number); // the test runner of Node
            } else if let Some(number) = line.strip_prefix("# fail ") {
                add(&mut count.failed, number);
            } else if let Some(tail) = line.strip_prefix("Ran ").filter(|_| success) {
                add(&mut count.passed, tail); // unittest of Python: `Ran 5 tests in 0.2s`
            } else if line.starts_with(SUMMARY) {
                count.add_words(line.split_once(" run: ").map_or("", |(_, words)| words), ',');
            }
        }
        if !success && count.failed == 0 {
            count.failed = 1;
        }
        count
    }

    /// A check that cannot run on this machine.
    pub(crate) fn skip(why: impl Into<String>) -> Self {
        Self { skipped: vec![why.into()], ..Self::default() }
    }

    /// Moves repeated cases from the failed to the flaky ones.
    pub(crate) fn forgive(&mut self, flaky: Vec<Flaky>) {
        let number = flaky.len() as u64;
        self.failed = self.failed.saturating_sub(number);
        self.passed += number;
        self.flaky.extend(flaky);
    }

    /// Every failure passed in the repetition: of several failures of one file there is one entry.
    pub(crate) fn forgive_all(&mut self, flaky: Vec<Flaky>) {
        self.passed += std::mem::take(&mut self.failed);
        self.flaky.extend(flaky);
    }

    /// Reads `12 passed, 1 failed, 3 skipped`. A runner's "skipped" are tests that carry
    /// `#[ignore]`, which tidy allows for soak tests only.
    fn add_words(&mut self, words: &str, separator: char) {
        for part in words.split(separator) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed" | "timed" | "exec") => self.failed += number,
                Some("ignored" | "skipped") => self.ignored += number,
                _ => {}
            }
        }
    }

    /// The line a run ends with.
    pub(crate) fn closing_line(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        for (number, what) in [(self.flaky.len(), "flaky"), (self.skipped.len(), "skipped")] {
            if number > 0 {
                line.push_str(&format!(", {number} {what}"));
            }
        }
        line
    }
}

fn add(to: &mut u64, text: &str) {
    let number = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    *to += number.unwrap_or(0);
}

impl AddAssign<&Count> for Count {
    fn add_assign(&mut self, other: &Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped.extend(other.skipped.iter().cloned());
        self.flaky.extend(other.flaky.iter().cloned());
        self.slowest.extend(other.slowest.iter().cloned());
        self.slowest.sort_by(|a, b| b.1.total_cmp(&a.1));
        self.slowest.truncate(SLOWEST_MAX);
    }
}

#[cfg(test)]
mod tests;
