//! Measuring topics from outside: by what their rings say of each frame, without taking part.

pub(crate) mod flow;
pub(crate) mod follow;
pub(crate) mod meter;
pub(crate) mod overview;
pub(crate) mod stats;
