//! The file that programs read.

use super::*;

#[test]
fn says_what_was_tested_and_how_it_went() {
    let count = Count { passed: 2, slowest: vec![("it slow".into(), 3.21)], ..Count::default() };
    let skipped = Count::skip("advisories: no database");
    let seconds = |s| Duration::from_secs(s);
    let lines = [
        Line { name: "unit", count, took: seconds(4) },
        Line { name: "deny", count: skipped, took: seconds(1) },
    ];
    let run = Run { seed: 7, is_whole: false, took: seconds(5) };
    let found = result(&run, &lines, Some("abc"), Some(true));
    assert_eq!(found["commit"], "abc");
    assert_eq!(found["dirty"], true);
    assert_eq!(found["whole"], false);
    assert_eq!(found["seed"], 7);
    assert_eq!((&found["passed"], &found["failed"]), (&json!(2), &json!(0)));
    assert_eq!(found["skipped"], json!(["advisories: no database"]));
    assert_eq!(
        found["steps"][0],
        json!({"name": "unit", "seconds": 4.0, "passed": 2, "failed": 0})
    );
    assert_eq!(found["slowest"], json!([{ "name": "it slow", "seconds": 3.2 }]));
}
