//! GStreamer's own leak tracer finds nothing left alive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use support::Topic;
use support::launched::Launched;

#[test]
fn nothing_is_left_alive_on_either_side() {
    let topic = Topic::new();
    let log = |name: &str| topic.dir().join(name).display().to_string();
    let run = |text: &str, log: &str| {
        let environment = [
            ("GST_TRACERS", "leaks"),
            ("GST_DEBUG", "GST_TRACER:7"),
            ("GST_DEBUG_FILE", log),
            ("G_DEBUG", "fatal-warnings"),
        ];
        Launched::with(text, &environment)
    };
    let (out, r#in) = (log("sink.log"), log("src.log"));
    let mut producer = run(
        &format!(
            "videotestsrc num-buffers=90 is-live=true ! queue ! {}",
            topic.sink("wait-for-connection=true")
        ),
        &out,
    );
    let mut consumer = run(&format!("{} ! queue ! videoconvert ! fakesink sync=false", topic.src("")), &r#in);
    assert_eq!((producer.code(), consumer.code()), (Some(0), Some(0)));
    for log in [out, r#in] {
        let text = std::fs::read_to_string(&log).expect("a log");
        assert!(text.contains("leaks"), "the tracer was there");
        let alive: Vec<_> =
            text.lines().filter(|line| line.contains("object-alive, type-name=(string)Gst")).collect();
        assert!(alive.is_empty(), "{log}: {alive:#?}");
    }
}
