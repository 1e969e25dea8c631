use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const DIR: &str = env!("CARGO_MANIFEST_DIR");

fn none() -> Vec<(&'static str, Vec<u8>)> {
    Vec::new()
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![("ab", b"ab".to_vec())]
}

#[test]
fn a_failure_three_mutations_away_is_found() {
    fn depth(input: &[u8]) -> usize {
        let depth = input.iter().zip(b"abcde").take_while(|(a, b)| a == b).count();
        assert!(depth < 5, "found");
        depth
    }
    let target = Target { manifest_dir: DIR, name: "self_test", check: depth, seeds };
    let found = catch_unwind(|| target.run(Duration::from_secs(20)));
    assert!(found.is_err(), "the mutations do not reach it");
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let inputs = |seed| {
        let mut random = Random::new(seed);
        (0..100).map(|_| mutate(b"abcdef", b"uvw", &mut random)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(7), inputs(7));
    assert_ne!(inputs(7), inputs(8));
}

#[test]
fn every_input_of_the_corpus_is_replayed() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    fn count(_: &[u8]) -> usize {
        SEEN.fetch_add(1, Ordering::Relaxed);
        0
    }
    let target = Target { manifest_dir: DIR, name: "self_test", check: count, seeds };
    target.run(Duration::ZERO);
    assert_eq!(SEEN.load(Ordering::Relaxed), 2, "replayed, and judged as a base");
    let nowhere = Target { manifest_dir: DIR, name: "nowhere", check: count, seeds: none };
    assert!(catch_unwind(|| nowhere.test()).is_err(), "a target without a corpus fails");
}

#[test]
fn freed_memory_counts_too() {
    assert_eq!(within(2_000, || vec![0_u8; 1_000].len()), 1_000);
    let greedy = catch_unwind(|| within(2_000, || drop(Vec::<u8>::with_capacity(1 << 20))));
    assert!(greedy.is_err());
}
