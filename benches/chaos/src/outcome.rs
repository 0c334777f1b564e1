//! What came of a fault: one row of the report.

use std::time::Duration;

/// What came of a fault.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How often the fault was caused.
    pub(crate) tried: u64,
    /// What happened, for people.
    pub(crate) happened: Vec<String>,
    /// Frames that honest consumers lost, and were told so.
    pub(crate) lost: u64,
    /// The longest time that an honest consumer, or one that came after the fault, waited for a frame.
    pub(crate) recovered: Option<Duration>,
    /// Promises that were broken.
    pub(crate) broken: Vec<String>,
    /// What could not be tried here, and why: rights, the kernel, an option that was not given.
    pub(crate) left_out: Vec<String>,
    /// What was not tried because something is not there that a build makes: with `--strict` that is an error.
    pub(crate) absent: Vec<String>,
}

impl Outcome {
    pub(crate) fn left_out(why: impl Into<String>) -> Self {
        Self { left_out: vec![why.into()], ..Self::default() }
    }

    /// Something is not there that a build makes. The same is told once.
    pub(crate) fn absent(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.absent.contains(&what) {
            self.absent.push(what);
        }
    }

    pub(crate) fn only_absent(what: impl Into<String>) -> Self {
        Self { absent: vec![what.into()], ..Self::default() }
    }

    /// All that was not tried.
    pub(crate) fn not_tried(&self) -> impl Iterator<Item = &String> {
        self.left_out.iter().chain(&self.absent)
    }

    pub(crate) fn tell(&mut self, text: impl Into<String>) {
        self.happened.push(text.into());
    }

    /// A promise was broken. The same one many times is told a few times.
    pub(crate) fn broke(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.broken.contains(&text) && self.broken.len() < 20 {
            self.broken.push(text);
        }
    }

    pub(crate) fn recovered_in(&mut self, time: Duration) {
        self.recovered = Some(self.recovered.map_or(time, |before| before.max(time)));
    }

    pub(crate) fn verdict(&self) -> &'static str {
        if !self.broken.is_empty() {
            "**broken**"
        } else if self.tried == 0 {
            "not tried"
        } else {
            "kept"
        }
    }
}
