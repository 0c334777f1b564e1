//! Latencies of one or many processes: exact values up to a bound per process, thinned out beyond it.

use serde_json::{Value, json};

/// Enough for every frame of a paced measurement; unthrottled ones are thinned evenly.
const KEPT: usize = 1 << 15;

/// Latencies in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    values: Vec<u64>,
    /// One of so many frames is kept (a power of two, as exponent)
    thinning: u32,
    seen: u64,
}

impl Latencies {
    pub(crate) fn with_room() -> Self {
        Self { values: Vec::with_capacity(KEPT), ..Self::default() }
    }

    pub(crate) fn add(&mut self, ns: u64) {
        let wanted = self.seen.trailing_zeros() >= self.thinning || self.seen == 0;
        self.seen = self.seen.wrapping_add(1);
        if !wanted {
            return;
        }
        if self.values.len() >= KEPT {
            let mut keep = false;
            self.values.retain(|_| {
                keep = !keep;
                keep
            });
            self.thinning = self.thinning.saturating_add(1);
        }
        self.values.push(ns);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.values.extend_from_slice(&other.values);
    }

    /// The value below which the given part (0 to 1) of all lie; none without values.
    pub(crate) fn quantile(&mut self, part: f64) -> Option<u64> {
        self.values.sort_unstable();
        let last = self.values.len().checked_sub(1)?;
        let index = (last as f64 * part.clamp(0.0, 1.0)).round() as usize;
        self.values.get(index).copied()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!(self.values)
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let values = value.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()?;
        Some(Self { values, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_hundred_and_one_values() {
        let mut all = Latencies::default();
        for value in (0..=100).rev() {
            all.add(value);
        }
        assert_eq!(all.quantile(0.5), Some(50));
        assert_eq!(all.quantile(0.99), Some(99));
        assert_eq!(all.quantile(1.0), Some(100));
        assert_eq!(Latencies::default().quantile(0.5), None);
    }

    #[test]
    fn thinning_keeps_the_shape() {
        let mut all = Latencies::with_room();
        for value in 0..10 * KEPT as u64 {
            all.add(value);
        }
        assert!(all.values.len() <= KEPT);
        let median = all.quantile(0.5).unwrap();
        let expected = 5 * KEPT as u64;
        assert!(median.abs_diff(expected) < expected / 50, "{median} instead of about {expected}");
    }

    #[test]
    fn the_other_process_gets_the_same_values() {
        let mut one = Latencies::default();
        one.add(3);
        one.add(5);
        let mut two = Latencies::from_json(&one.to_json()).unwrap();
        two.merge(&one);
        assert_eq!(two.values, [3, 5, 3, 5]);
        assert!(Latencies::from_json(&serde_json::json!({})).is_none());
    }
}
