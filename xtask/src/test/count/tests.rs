//! The closing lines as the runners write them.

use super::*;

fn count(passed: u64, failed: u64, ignored: u64) -> Count {
    Count { passed, failed, ignored, ..Count::default() }
}

#[test]
fn adds_up_the_binaries_of_libtest() {
    let output = "\
test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s
noise
test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s
";
    assert_eq!(Count::parse(output, false), count(16, 2, 3));
}

#[test]
fn reads_the_summary_of_nextest() {
    let output = "     Summary [   1.234s] 14/20 tests run: 10 passed (1 slow), 3 failed, 1 timed out, 6 skipped";
    assert_eq!(Count::parse(output, false), count(10, 4, 6));
    let one = "     Summary [   0.004s] 1 test run: 1 passed, 0 skipped";
    assert_eq!(Count::parse(one, true), count(1, 0, 0));
}

#[test]
fn what_a_test_itself_printed_is_not_counted() {
    let output = "\
     Summary [   0.007s] 1 test run: 0 passed, 1 failed, 0 skipped
        FAIL [   0.006s] (1/1) a::bin/a b
  stdout ───
    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 54 filtered out
";
    assert_eq!(Count::parse(output, false), count(0, 1, 0));
}

#[test]
fn a_failure_that_nobody_counted_is_one() {
    assert_eq!(Count::parse("error: could not compile", false), count(0, 1, 0));
    assert_eq!(Count::parse("", true), count(0, 0, 0));
}

#[test]
fn the_closing_line_names_skips_only_when_there_are_some() {
    assert_eq!(count(3, 0, 9).closing_line(), "3 passed, 0 failed");
    let skipped = Count { skipped: vec!["no docker".to_owned()], ..count(3, 1, 0) };
    assert_eq!(skipped.closing_line(), "3 passed, 1 failed, 1 skipped");
}

#[test]
fn what_each_process_says_is_not_counted_beside_the_summary() {
    let output = "\
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 60.01s
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 60.02s
     Summary [ 120.651s] 2 tests run: 2 passed, 576 skipped
";
    let count = Count::parse(output, true);
    assert_eq!((count.passed, count.failed), (2, 0));
}

#[test]
fn reads_the_runners_of_other_languages() {
    let node = "TAP version 13\n# tests 12\n# pass 11\n# fail 1\n";
    assert_eq!(Count::parse(node, false), Count { passed: 11, failed: 1, ..Count::default() });
    let python = "....\n------\nRan 4 tests in 0.123s\n\nOK\n";
    assert_eq!(Count::parse(python, true), Count { passed: 4, ..Count::default() });
    let broken = "Ran 4 tests in 0.123s\n\nFAILED (failures=1)\n";
    assert_eq!(Count::parse(broken, false), Count { failed: 1, ..Count::default() });
}

#[test]
fn a_flaky_case_counts_as_passed_and_is_named_on_the_last_line() {
    let mut total = count(3, 1, 0);
    let (failure, repetition) = ("late".to_owned(), "ok".to_owned());
    total.forgive(vec![Flaky { name: "it a".to_owned(), failure, repetition }]);
    assert_eq!(total.closing_line(), "4 passed, 0 failed, 1 flaky");
}
