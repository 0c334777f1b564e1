//! What consumers accept reaches the producer as a preference, never as a condition.

mod accepted_caps;
mod changes;
mod conflicts;
mod offers;

use crate::support::{Running, Topic};

/// A viewer that takes one format only.
fn picky(topic: &Topic, format: &str, more: &str) -> Running {
    let src = topic.src(more);
    Running::playing(&format!("{src} ! video/x-raw,format={format} ! appsink name=out sync=false"))
}

/// The same; it drops what the test does not take.
fn picky_now(topic: &Topic, format: &str) -> Running {
    Running::playing(&format!(
        "{} ! video/x-raw,format={format} ! appsink name=out sync=false max-buffers=2 drop=true",
        topic.src("")
    ))
}
