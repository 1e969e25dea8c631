//! The closing lines, which are read by programs.

use super::*;

#[test]
fn ends_with_the_count_after_the_skips() {
    let mut total = Count { passed: 7, ignored: 2, ..Count::default() };
    assert_eq!(closing(&total).last().unwrap(), "7 passed, 0 failed");
    total.skipped = vec!["image: no docker".to_owned()];
    assert_eq!(
        closing(&total),
        [
            "2 soak tests are left to `cargo xtask soak`",
            "SKIPPED image: no docker",
            "7 passed, 0 failed, 1 skipped",
        ]
    );
}
