//! What users ask of the elements, of GStreamer's own inter-process elements, too, and suffer from there: each module
//! answers one such question with whole pipelines, in one process and in several.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it leaves out and what it measured"
)]

mod support;

mod addresses;
mod copies;
mod devices;
mod display;
mod errors;
mod faults;
mod formats;
mod leaks;
mod lifecycle;
mod metas;
mod negotiation;
mod peers;
mod properties;
mod several;
mod streams;
mod time;

#[test]
fn what_fakesink_prints_is_understood() {
    use support::child::{Seen, seen};
    let line = "/GstPipeline:pipeline0/GstFakeSink:out: last-message = chain   ******* (out:sink) (3072 bytes, dts: \
                none, pts: 1:00:01.500000000, duration: 0:00:00.010000000, offset: 7, offset_end: 8, flags: 00000040 \
                discont , meta: GstVideoMeta) 0x7f";
    let frame = Seen { bytes: 3072, offset: Some(7), pts: Some(3_601_500_000_000), discont: true };
    assert_eq!(seen(line), Some(frame));
    assert_eq!(seen("New clock: GstSystemClock"), None);
}
