use super::*;

/// The percentile of sorted durations.
fn exact(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

fn is_close(found: u64, exact: u64) -> bool {
    found == exact || (exact >= 32 && found.abs_diff(exact) as f64 <= exact as f64 * 0.04)
}

#[test]
fn every_duration_is_close_to_the_middle_of_its_bin() {
    let mut last = 0;
    let near_powers =
        (0..37).flat_map(|power| [-1, 0, 1].map(|by| (1_u64 << power).saturating_add_signed(by)));
    let mut durations: Vec<u64> = (0..70_000).chain(near_powers).chain([MAX_MS]).collect();
    durations.sort_unstable();
    for ms in durations {
        let bin = bin(ms);
        assert!(bin >= last && usize::from(bin) < BINS, "{ms}: {last} -> {bin}");
        assert!(is_close(middle_ms(bin), ms), "{ms}: {}", middle_ms(bin));
        last = bin;
    }
    assert_eq!(bin(u64::MAX), bin(MAX_MS));
}

#[test]
fn percentiles_are_close_to_those_of_the_sorted_durations() {
    for count in [1_u64, 2, 3, 19, 20, 21, 99, 100, 101, 5_000] {
        // Fixed values of many magnitudes.
        let mut durations: Vec<u64> =
            (0..count).map(|n| (n * 7_919 % 10_007).pow(2) / 50).collect();
        let mut histogram = Histogram::new();
        for chunk in durations.chunks(7) {
            let mut second = SparseHistogram::default();
            chunk.iter().for_each(|ms| second.add(*ms));
            histogram.add(&second);
        }
        durations.sort_unstable();
        let found = histogram.percentiles().expect("there are samples");
        assert_eq!(found.samples, count);
        for (found, percent) in [(found.p50_ms, 50), (found.p95_ms, 95), (found.p99_ms, 99)] {
            let exact = exact(&durations, percent);
            assert!(is_close(found, exact), "{percent} of {count}: {found}, expected {exact}");
        }
        histogram.clear();
        assert_eq!(histogram.percentiles(), None);
    }
}
