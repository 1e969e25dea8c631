//! The range of the delays.

use super::*;

const BACKOFF: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) };

#[test]
fn delays_double_up_to_the_cap() {
    let max: Vec<u64> = (0..9).map(|n| BACKOFF.delay(n, 1.0).as_millis() as u64).collect();
    assert_eq!(max, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(BACKOFF.delay(u32::MAX, 1.0), Duration::from_secs(5));
}

#[test]
fn jitter_scales_the_whole_delay() {
    assert_eq!(BACKOFF.delay(3, 0.0), Duration::ZERO);
    assert_eq!(BACKOFF.delay(3, 0.5), Duration::from_millis(200));
}

#[cfg(feature = "worker")]
#[test]
fn the_first_reconnect_is_immediate() {
    assert_eq!(BACKOFF.reconnect_delay(0, 1.0), Duration::ZERO);
    assert_eq!(BACKOFF.reconnect_delay(1, 1.0), Duration::from_millis(50));
}
