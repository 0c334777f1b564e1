//! A histogram of durations that a streaming thread feeds and anyone reads, without a lock.
//!
//! Buckets grow by an eighth: a percentile read from it is at most 12.5 % above the true value, over the whole range
//! from one nanosecond to centuries, in 4 KiB.

use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;

/// Buckets per doubling, as a power of two.
const SUB_BITS: u32 = 3;
const SUB: u64 = 1 << SUB_BITS;
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) << SUB_BITS;

/// Durations in nanoseconds, counted in buckets of logarithmic width.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), max: AtomicU64::new(0) }
    }
}

/// The number of the bucket a value falls into.
fn bucket_of(value: u64) -> usize {
    if value < SUB {
        return value as usize;
    }
    let octave = u64::BITS - 1 - SUB_BITS - value.leading_zeros();
    (((u64::from(octave) + 1) << SUB_BITS) + ((value >> octave) & (SUB - 1))) as usize
}

/// The largest value that falls into a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB {
        return bucket;
    }
    let octave = (bucket >> SUB_BITS) - 1;
    let low = u128::from(SUB + (bucket & (SUB - 1))) << octave;
    u64::try_from(low + (1_u128 << octave) - 1).unwrap_or(u64::MAX)
}

impl Histogram {
    /// Counts one duration, in nanoseconds.
    pub(crate) fn record(&self, nanoseconds: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(nanoseconds)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.max.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
        self.max.store(0, Ordering::Relaxed);
    }

    /// A consistent enough copy to read percentiles from.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        Snapshot {
            total: counts.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)),
            counts,
            max: self.max.load(Ordering::Relaxed),
        }
    }
}

/// What a [`Histogram`] held at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Snapshot {
    /// The longest duration in nanoseconds, 0 when nothing was counted.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The duration in nanoseconds that `per_mille` thousandths of all did not exceed; 0 when nothing was counted.
    pub(crate) fn percentile(&self, per_mille: u16) -> u64 {
        let rank = (u128::from(self.total) * u128::from(per_mille.min(1000))).div_ceil(1000);
        let mut seen = 0_u128;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if *count > 0 && seen >= rank {
                return upper_bound(bucket).min(self.max);
            }
        }
        0
    }

    /// The filled buckets in rising order: the largest duration of each, in nanoseconds, and how many fell into it.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(bucket, n)| (upper_bound(bucket), *n))
    }
}

/// A snapshot as a statistics field: an array of `bucket` structures with `up-to` (nanoseconds) and `count`.
pub(crate) fn to_array(snapshot: &Snapshot) -> gst::Array {
    gst::Array::new(snapshot.filled().map(|(upper, count)| {
        gst::Structure::builder("bucket").field("up-to", upper).field("count", count).build()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_its_bucket_and_an_eighth_of_its_bound() {
        let mut values: Vec<u64> = (0..2000).collect();
        values.extend((0..64).flat_map(|shift| [1_u64 << shift, (1_u64 << shift) - 1, (1_u64 << shift) | 1]));
        values.push(u64::MAX);
        for value in values {
            let bucket = bucket_of(value);
            assert!(bucket < BUCKETS, "{value}");
            let upper = upper_bound(bucket);
            assert!(upper >= value, "{value} above its bucket's bound {upper}");
            assert!(upper - value <= value / SUB, "{value} too far below {upper}");
            assert!(bucket == 0 || upper_bound(bucket - 1) < value, "{value} belongs into the bucket before");
        }
    }

    #[test]
    fn percentiles_of_nothing_and_of_one() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().percentile(990), 0);
        histogram.record(1234);
        assert_eq!(histogram.snapshot().percentile(500), 1234);
        assert_eq!(histogram.snapshot().percentile(0), 1234);
        histogram.clear();
        assert_eq!((histogram.snapshot().total, histogram.snapshot().max()), (0, 0));
    }

    #[test]
    fn an_outlier_shows_in_p99_9_only() {
        let histogram = Histogram::default();
        (0..999).for_each(|_| histogram.record(100_000));
        histogram.record(50_000_000);
        let snapshot = histogram.snapshot();
        assert!(snapshot.percentile(990) < 113_000);
        assert_eq!(snapshot.percentile(1000), 50_000_000);
        assert_eq!(snapshot.filled().count(), 2);
    }
}
