//! Wrong settings are told before anything starts, with what to type instead.

use gstreamer as gst;

use gst::prelude::*;

use crate::support::Running;
use crate::support::child::Child;

/// What a pipeline says when it cannot start.
fn refusal(text: &str) -> String {
    let running = Running::new(text);
    assert!(running.pipeline.set_state(gst::State::Ready).is_err(), "{text} starts");
    let error = running.wait_error();
    assert!(!error.contains("Failed to start"), "{error}");
    error
}

#[test]
fn wrong_settings_are_told_before_anything_starts_with_what_to_type_instead() {
    let long = format!("topic={}", "x".repeat(300));
    for (element, settings, parts) in [
        ("shmflowsink", "", &["topic=video"][..]),
        ("shmflowsrc", "", &["topic=video"]),
        ("shmflowsink", "topic=v perms=1777", &["03361", "leading zero"]),
        ("shmflowsink", "topic=v perms=600", &["leading zero"]),
        ("shmflowsink", "topic=v perms=01777", &["01777"]),
        ("shmflowsink", "topic=v perms=066", &["066", "owner"]),
        ("shmflowsink", "topic=v max-buffers=2", &["max-buffers=2", "3"]),
        ("shmflowsink", "topic=v max-buffers=1000000", &["max-buffers", "4096"]),
        ("shmflowsink", "topic=v max-buffers=8 history=9", &["history=9"]),
        ("shmflowsink", "topic=v max-buffers=8 spare-slots=8", &["spare-slots=8"]),
        ("shmflowsrc", "topic=v caps=audio/x-raw,format=S16LE", &["caps", "audio"]),
        ("shmflowsrc", "topic=v caps=video/x-raw(memory:GLMemory)", &["caps", "system memory"]),
        ("shmflowsrc", "topic=v caps=video/x-raw,format=BGR", &["caps"]),
        ("shmflowsrc", &long, &["200"]),
        ("shmflowsink", "topic=v directory=/nowhere/at/all", &["/nowhere/at/all"]),
    ] {
        let text = match element {
            "shmflowsink" => format!("videotestsrc num-buffers=1 ! shmflowsink {settings}"),
            _ => format!("shmflowsrc {settings} ! fakesink"),
        };
        // To an application, and to a person at the shell.
        let error = refusal(&text);
        let ended = Child::launch(&text).wait();
        for part in parts {
            assert!(error.contains(part), "{text}: no {part:?} in {error}");
            ended.badly(part);
        }
        let vague = ["Failed to start", "Internal data stream error", "failed to change state"];
        let first = ended.printed.lines().find(|line| line.contains("ERROR:")).unwrap_or_default();
        assert!(!vague.iter().any(|text| first.contains(text)), "{text}: {first}");
    }
}
