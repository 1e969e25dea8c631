//! Reports as the runners write them.

use super::*;

const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="2" failures="1" errors="0" time="1.5">
  <testsuite name="a::it" tests="2" disabled="0" errors="0" failures="1">
    <testcase name="x::good" classname="a::it" timestamp="2026-01-01T00:00:00Z" time="0.5"/>
    <testcase name="x::late" classname="a::it" timestamp="2026-01-01T00:00:00Z" time="1.25">
      <failure type="test failure">took 2 s</failure>
      <system-out>&lt;out&gt;</system-out>
      <system-err>assertion failed</system-err>
    </testcase>
  </testsuite>
</testsuites>"#;

#[test]
fn reads_failures_with_what_they_printed() {
    let cases = parse(REPORT).unwrap();
    assert_eq!(cases.len(), 2);
    assert!(!cases[0].has_failed());
    assert_eq!(cases[1].title(), "a::it x::late");
    assert_eq!(cases[1].failure.as_deref(), Some("took 2 s\n<out>\nassertion failed"));
    assert!((cases[1].seconds - 1.25).abs() < f64::EPSILON);
}

#[test]
fn only_a_few_failures_are_repeated() {
    let cases = parse(REPORT).unwrap();
    let failed = &cases[1];
    let expected = "(binary_id(=a::it) & test(=x::late))";
    assert_eq!(filter(&[failed]).as_deref(), Some(expected));
    assert_eq!(filter(&[]), None);
    assert_eq!(filter(&[failed; MAX_FLAKY + 1]), None);
}

#[test]
fn a_case_is_flaky_only_when_its_repetition_passed() {
    let cases = parse(REPORT).unwrap();
    let failed = [&cases[1]];
    assert_eq!(flaky(&failed, &cases, "again"), []);
    assert_eq!(flaky(&failed, &[], "did not run"), []);
    let passed = Case { failure: None, ..cases[1].clone() };
    let found = flaky(&failed, &[passed], "again");
    assert_eq!((found[0].name.as_str(), found[0].repetition.as_str()), ("a::it x::late", "again"));
}

#[test]
fn finds_the_files_of_failed_tests_of_node() {
    let tap = "\
TAP version 13
ok 1 - fine
  ---
  location: '/w/a.test.js:3:1'
  ...
not ok 2 - broken
  ---
  location: '/w/b.test.js:7:1'
  ...
    not ok 1 - inner
      ---
      location: '/w/b.test.js:9:3'
      ...
";
    assert_eq!(failed_files(tap), ["/w/b.test.js"]);
}

#[test]
fn a_long_output_is_cut_at_a_character() {
    let text = "é".repeat(OUTPUT_MAX);
    let end = end_of(&text);
    assert!(end.len() <= OUTPUT_MAX && end.chars().all(|c| c == 'é'));
}
