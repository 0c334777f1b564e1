//! Frames that a consumer does not give out, by what a layer above the ring knows of them.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use super::selection::Selection;
use super::{Consumer, Frame};

type Wants = dyn Fn(&Frame) -> bool + Send + Sync + UnwindSafe + RefUnwindSafe;

/// By default all are given out.
#[derive(Clone, Default)]
pub(crate) struct Filter(Option<Arc<Wants>>);

impl Filter {
    pub(crate) fn new(
        wants: impl Fn(&Frame) -> bool + Send + Sync + UnwindSafe + RefUnwindSafe + 'static,
    ) -> Self {
        Self(Some(Arc::new(wants)))
    }

    pub(super) fn wants(&self, frame: &Frame) -> bool {
        self.0.as_ref().is_none_or(|wants| wants(frame))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Filter(some)" } else { "Filter(all)" })
    }
}

impl Consumer {
    /// A frame that was taken is not given out: it counts for no rate, and what was lost before it was lost before the next.
    pub(super) fn skip(&mut self, frame: &Frame, before: Selection) {
        self.lost = self.lost.saturating_add(frame.lost_before());
        self.selection = before;
        self.stats.skipped += 1;
    }
}
