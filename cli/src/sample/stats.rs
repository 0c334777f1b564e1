//! Mean, extremes and deviation of the newest values.

use std::collections::VecDeque;

/// The newest values, as many as the window has room for.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    values: VecDeque<f64>,
    room: usize,
}

/// What a window's values are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stats {
    pub(crate) count: usize,
    pub(crate) mean: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The standard deviation of all values in the window.
    pub(crate) deviation: f64,
}

impl Window {
    /// Room for at least one value.
    pub(crate) fn new(room: usize) -> Self {
        Self { values: VecDeque::new(), room: room.max(1) }
    }

    pub(crate) fn push(&mut self, value: f64) {
        if self.values.len() >= self.room {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
    }

    /// `None` without values.
    pub(crate) fn stats(&self) -> Option<Stats> {
        let count = self.values.len();
        let mean = self.values.iter().sum::<f64>() / count as f64;
        let square = |value: &f64| (value - mean) * (value - mean);
        (count != 0).then(|| Stats {
            count,
            mean,
            min: self.values.iter().copied().fold(f64::INFINITY, f64::min),
            max: self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            deviation: (self.values.iter().map(square).sum::<f64>() / count as f64).sqrt(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_values_count() {
        let mut window = Window::new(4);
        assert_eq!(window.stats(), None);
        for value in [100.0, 2.0, 4.0, 4.0, 6.0] {
            window.push(value);
        }
        let stats = window.stats().unwrap();
        assert_eq!((stats.count, stats.mean, stats.min, stats.max), (4, 4.0, 2.0, 6.0));
        assert!((stats.deviation - 2.0_f64.sqrt()).abs() < 1e-12);
    }
}
