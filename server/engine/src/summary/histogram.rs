//! Histograms of durations with logarithmic bins. Their size does not depend on the load. A
//! percentile is off by at most 4 %, and exact below 32 ms.

/// The bins of every doubling.
const PER_DOUBLING: u32 = 16;

/// The longest duration, about four years. Longer ones count as this.
const MAX_MS: u64 = (1 << 37) - 1;

const BINS: usize = bin(MAX_MS) as usize + 1;

const fn bin(ms: u64) -> u16 {
    let ms = if ms > MAX_MS { MAX_MS } else { ms };
    let shift = match ms.checked_ilog2() {
        Some(doublings) => doublings.saturating_sub(PER_DOUBLING.ilog2()),
        None => 0,
    };
    (shift * PER_DOUBLING) as u16 + (ms >> shift) as u16
}

/// The middle of a bin.
const fn middle_ms(bin: u16) -> u64 {
    let bin = bin as u32;
    if bin < 2 * PER_DOUBLING {
        return bin as u64;
    }
    let shift = bin / PER_DOUBLING - 1;
    let lowest = ((bin - shift * PER_DOUBLING) as u64) << shift;
    lowest + (1 << shift) / 2
}

/// The durations of one second: the bins that are not empty, sorted.
#[derive(Default)]
pub(super) struct SparseHistogram(Vec<(u16, u32)>);

impl SparseHistogram {
    pub(super) fn add(&mut self, ms: u64) {
        let bin = bin(ms);
        match self.0.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(1),
            Err(at) => self.0.insert(at, (bin, 1)),
        }
    }
}

/// The durations of a window.
pub(super) struct Histogram {
    bins: Box<[u64; BINS]>,
    samples: u64,
}

/// Percentiles of a duration in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub p99_ms: u64,
    /// At least one.
    pub samples: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { bins: Box::new([0; BINS]), samples: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.bins.fill(0);
        self.samples = 0;
    }

    pub(super) fn add(&mut self, second: &SparseHistogram) {
        for (bin, count) in &second.0 {
            self.bins[usize::from(*bin)] += u64::from(*count);
            self.samples += u64::from(*count);
        }
    }

    /// None without samples.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let mut found = [0; 3];
        let mut ranks = [50, 95, 99]
            .map(|percent| (self.samples * percent).div_ceil(100))
            .into_iter()
            .peekable();
        let (mut at, mut cumulative) = (0, 0);
        for (bin, count) in (0_u16..).zip(self.bins.iter()) {
            cumulative += count;
            while ranks.next_if(|rank| cumulative >= *rank && *count > 0).is_some() {
                found[at] = middle_ms(bin);
                at += 1;
            }
        }
        let [p50_ms, p95_ms, p99_ms] = found;
        let samples = self.samples;
        (samples > 0).then_some(Percentiles { p50_ms, p95_ms, p99_ms, samples })
    }
}

#[cfg(test)]
mod tests;
