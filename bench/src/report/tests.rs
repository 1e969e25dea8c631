use std::collections::HashSet;

use super::{median, number};
use crate::measure::MEASURES;

#[test]
fn a_number_has_three_digits_or_its_whole_part() {
    assert_eq!(number(0.1234), "0.123");
    assert_eq!(number(1.234), "1.23");
    assert_eq!(number(12.34), "12.3");
    assert_eq!(number(123.4), "123");
    assert_eq!(number(123_456.7), "123,457");
    assert_eq!(number(1_234_567.0), "1,234,567");
}

#[test]
fn the_median_is_the_middle() {
    assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
    assert_eq!(median(&[1.0, 2.0]), 1.5);
}

#[test]
fn every_measure_has_a_key_of_its_own_and_a_ceiling_that_exists() {
    let keys: HashSet<_> = MEASURES.iter().map(|measure| measure.key).collect();
    assert_eq!(keys.len(), MEASURES.len());
    for ceiling in MEASURES.iter().filter_map(|measure| measure.ceiling) {
        assert!(keys.contains(ceiling), "{ceiling}");
    }
}
