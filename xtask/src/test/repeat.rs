//! Repeats failed tests alone, once. A test that asserts a time can fail because the machine was
//! busy; such a test is reported as FLAKY with the output of both attempts and does not fail the
//! run. A run forgives [`MAX_FLAKY`] of them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::count::Flaky;

/// Failures of a step that are repeated, and flaky tests of a run that are forgiven.
pub(crate) const MAX_FLAKY: usize = 3;

/// Bytes of each output that a report keeps, from the end: that is where the panic is.
const OUTPUT_MAX: usize = 16 * 1024;

/// A test case as a runner reported it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    /// The test binary as nextest names it, such as `sentinel-server::it`.
    binary: String,
    name: String,
    pub(super) seconds: f64,
    /// What it printed, when it failed.
    failure: Option<String>,
}

impl Case {
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.binary, self.name)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// As a filter expression of nextest.
    fn filter(&self) -> String {
        format!("(binary_id(={}) & test(={}))", self.binary, self.name)
    }
}

/// Reads the JUnit report of nextest.
pub(super) fn read_report(path: &Path) -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    parse(&text).with_context(|| format!("read {}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Case>> {
    let document = roxmltree::Document::parse(text)?;
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    Ok(cases.map(case).collect())
}

fn case(node: roxmltree::Node<'_, '_>) -> Case {
    let attribute = |name: &str| node.attribute(name).unwrap_or_default();
    let has_failed = node.children().any(|c| c.has_tag_name("failure") || c.has_tag_name("error"));
    let printed = || {
        let texts =
            node.descendants().filter(|child| child.is_text()).filter_map(|child| child.text());
        let texts = texts.map(str::trim);
        end_of(&texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"))
    };
    Case {
        binary: attribute("classname").to_owned(),
        name: attribute("name").to_owned(),
        seconds: attribute("time").parse().unwrap_or_default(),
        failure: has_failed.then(printed),
    }
}

/// The filter expression that selects these failures, unless there are none or too many of them.
pub(super) fn filter(failed: &[&Case]) -> Option<String> {
    let few = !failed.is_empty() && failed.len() <= MAX_FLAKY;
    few.then(|| failed.iter().map(|case| case.filter()).collect::<Vec<_>>().join(" | "))
}

/// The failures that passed in the repetition.
pub(super) fn flaky(failed: &[&Case], repeated: &[Case], output: &str) -> Vec<Flaky> {
    let passed = |case: &&&Case| {
        repeated
            .iter()
            .any(|r| (&r.binary, &r.name) == (&case.binary, &case.name) && !r.has_failed())
    };
    let flaky = failed.iter().filter(passed).map(|case| Flaky {
        name: case.title(),
        failure: case.failure.clone().unwrap_or_default(),
        repetition: end_of(output),
    });
    flaky.collect()
}

/// The files with a failed test, as the TAP reporter of Node locates them.
pub(super) fn failed_files(tap: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    let mut is_failed = false;
    for line in tap.lines() {
        let line = line.trim();
        if line.starts_with("ok ") || line.starts_with("not ok ") {
            is_failed = line.starts_with("not ok ");
        }
        let Some(place) = line.strip_prefix("location: '").filter(|_| is_failed) else { continue };
        // `/path/file.test.js:12:1'`
        let file = place.rsplitn(3, ':').last().unwrap_or(place).to_owned();
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// A file whose tests passed in the repetition.
pub(super) fn file(name: String, failure: &str, repetition: &str) -> Flaky {
    Flaky { name, failure: failure.to_owned(), repetition: end_of(repetition) }
}

/// Arguments that run these files of Node alone, one after the other.
pub(super) fn node(command: &mut Command, files: &[String]) {
    command.args(["--test", "--test-concurrency=1", "--test-timeout=240000"]);
    command.arg("--test-reporter=tap").args(files);
}

/// The end of a long text, cut at a character.
pub(super) fn end_of(text: &str) -> String {
    let start = text.len().saturating_sub(OUTPUT_MAX);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text[start..].trim().to_owned()
}

#[cfg(test)]
mod tests;
