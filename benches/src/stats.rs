//! Order statistics: medians and how far the rounds of a benchmark lie apart.

use serde_json::{Value, json};

/// The value below which `part` (0 to 1) of `sorted` lies; 0 for no samples at all.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * part).round() as usize;
    sorted.get(at.min(last)).copied().unwrap_or(0.0)
}

/// Sorted copy; not-a-number does not occur in what we measure and would sort last.
pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// At most `MOST` values that stand for all of `values`: evenly spaced ones of the sorted samples, so that
/// quantiles survive while a child need not print half a million numbers.
pub(crate) fn condensed(values: Vec<f64>) -> Vec<f64> {
    const MOST: usize = 1001;
    let all = sorted(values);
    if all.len() <= MOST {
        return all;
    }
    (0..MOST).map(|i| quantile(&all, i as f64 / (MOST - 1) as f64)).collect()
}

/// One number measured in several rounds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of one number per round.
    pub(crate) fn of(rounds: Vec<f64>) -> Self {
        let rounds = sorted(rounds);
        Self { median: quantile(&rounds, 0.5), min: quantile(&rounds, 0.0), max: quantile(&rounds, 1.0) }
    }

    /// A quantile of the samples of all rounds together, spread over what each round alone gives.
    pub(crate) fn of_quantile(rounds: &[Vec<f64>], part: f64) -> Self {
        let pooled = sorted(rounds.concat());
        let each = Self::of(rounds.iter().map(|round| quantile(&sorted(round.clone()), part)).collect());
        Self { median: quantile(&pooled, part), ..each }
    }

    /// How the rounds of one candidate compare with the same rounds of another. A virtual machine's processors move
    /// near to each other and far apart again while it runs: what was measured in one round is comparable.
    pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// The same in another unit.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { median: self.median * factor, min: self.min * factor, max: self.max * factor }
    }

    pub(crate) fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}–{})", short(self.median), short(self.min), short(self.max))
    }
}

/// Three significant digits, with k and M for large numbers.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 9.995e6 => format!("{:.1} M", value / 1e6),
        _ if size >= 9.995e5 => format!("{:.2} M", value / 1e6),
        _ if size >= 9.995e3 => format!("{:.1} k", value / 1e3),
        _ if size >= 99.95 => format!("{value:.0}"),
        _ if size >= 9.995 => format!("{value:.1}"),
        _ if size >= 0.9995 => format!("{value:.2}"),
        _ if size == 0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_and_of_no_values() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 1.0), 3.0);
    }

    #[test]
    fn condensing_keeps_the_quantiles() {
        let many: Vec<f64> = (0..100_001).rev().map(f64::from).collect();
        let few = condensed(many);
        assert_eq!(few.len(), 1001);
        assert_eq!(quantile(&few, 0.5), 50_000.0);
        assert_eq!(quantile(&few, 0.99), 99_000.0);
    }

    #[test]
    fn a_spread_pools_samples_but_keeps_the_rounds_apart() {
        let spread = Spread::of_quantile(&[vec![1.0; 10], vec![9.0; 30]], 0.5);
        assert_eq!((spread.median, spread.min, spread.max), (9.0, 1.0, 9.0));
    }

    #[test]
    fn a_ratio_compares_round_by_round() {
        let ratio = Spread::ratio(&[1.0, 10.0, 3.0], &[2.0, 20.0, 3.0]);
        assert_eq!((ratio.median, ratio.min, ratio.max), (0.5, 0.5, 1.0));
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.0512, 1.234, 12.34, 123.4, 9999.0, 12_345.0, 1_234_567.0].map(short);
        assert_eq!(texts, ["0", "0.051", "1.23", "12.3", "123", "10.0 k", "12.3 k", "1.23 M"]);
    }
}
