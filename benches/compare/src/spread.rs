//! A figure over several rounds: its median, with the least and the greatest.

use serde_json::{Value, json};

#[derive(Debug, Clone, Default)]
pub(crate) struct Spread {
    values: Vec<f64>,
}

impl Spread {
    pub(crate) fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.values.push(value);
            self.values.sort_unstable_by(f64::total_cmp);
        }
    }

    pub(crate) fn median(&self) -> Option<f64> {
        let count = self.values.len();
        let upper = *self.values.get(count / 2)?;
        if count % 2 == 1 {
            return Some(upper);
        }
        let lower = *self.values.get((count / 2).checked_sub(1)?)?;
        Some(f64::midpoint(lower, upper))
    }

    /// `median (least–greatest)`, or a dash.
    pub(crate) fn text(&self, digits: usize) -> String {
        match (self.median(), self.values.first(), self.values.last()) {
            (Some(median), Some(_), Some(_)) if self.values.len() == 1 => format!("{median:.digits$}"),
            (Some(median), Some(least), Some(greatest)) => {
                format!("{median:.digits$} ({least:.digits$}–{greatest:.digits$})")
            }
            _ => "–".to_owned(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "median": self.median(), "values": self.values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        let mut spread = Spread::default();
        for value in values {
            spread.add(*value);
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
}
