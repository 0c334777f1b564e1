//! A figure over several rounds: its median, with the least and the greatest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What each round found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Spread(BTreeMap<u32, f64>);

impl Spread {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn add(&mut self, round: u32, value: f64) {
        if value.is_finite() {
            self.0.insert(round, value);
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values: Vec<f64> = self.0.values().copied().collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    pub(crate) fn median(&self) -> Option<f64> {
        let values = self.sorted();
        let count = values.len();
        let upper = *values.get(count / 2)?;
        if count % 2 == 1 {
            return Some(upper);
        }
        let lower = *values.get((count / 2).checked_sub(1)?)?;
        Some(f64::midpoint(lower, upper))
    }

    /// The least and the greatest.
    pub(crate) fn ends(&self) -> Option<(f64, f64)> {
        let values = self.sorted();
        Some((*values.first()?, *values.last()?))
    }

    /// This to the other, round by round: what the machine did in a round falls on both. None without a common round.
    pub(crate) fn ratio_to(&self, other: &Self) -> Self {
        let mut ratio = Self::default();
        for (round, value) in &self.0 {
            if let Some(base) = other.0.get(round).filter(|base| **base > 0.0) {
                ratio.add(*round, value / base);
            }
        }
        ratio
    }

    /// `median (least–greatest)`, or a dash.
    pub(crate) fn text(&self, digits: usize) -> String {
        match (self.median(), self.ends()) {
            (Some(median), Some(_)) if self.0.len() == 1 => format!("{median:.digits$}"),
            (Some(median), Some((least, greatest))) => {
                format!("{median:.digits$} ({least:.digits$}–{greatest:.digits$})")
            }
            _ => "–".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        let mut spread = Spread::default();
        for (round, value) in (1..).zip(values) {
            spread.add(round, *value);
        }
        spread
    }

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(spread(&[4.0, 1.0]).median(), Some(2.5));
        assert_eq!(spread(&[]).median(), None);
        assert_eq!(spread(&[f64::NAN]).median(), None);
    }

    #[test]
    fn text_shows_the_ends() {
        assert_eq!(spread(&[1.0, 2.0, 4.0]).text(1), "2.0 (1.0–4.0)");
        assert_eq!(spread(&[2.0]).text(2), "2.00");
        assert_eq!(spread(&[]).text(2), "–");
    }

    #[test]
    fn ratios_are_taken_within_each_round() {
        // The machine was twice as slow in the second round; both were, so that the ratio is the same.
        let ratio = spread(&[1.0, 2.0, 1.0]).ratio_to(&spread(&[2.0, 4.0, 2.0]));
        assert_eq!(ratio.ends(), Some((0.5, 0.5)));
    }

    #[test]
    fn a_round_that_one_of_them_lacks_has_no_ratio() {
        let mut late = Spread::default();
        late.add(2, 3.0);
        assert_eq!(late.ratio_to(&spread(&[1.0, 6.0])).ends(), Some((0.5, 0.5)));
        assert_eq!(late.ratio_to(&spread(&[1.0])).median(), None);
        assert_eq!(late.ratio_to(&spread(&[1.0, 0.0])).median(), None);
    }

    #[test]
    fn a_spread_is_read_as_it_was_written() {
        let written = spread(&[1.5, 2.5]);
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Spread>(&text).unwrap(), written);
    }
}
