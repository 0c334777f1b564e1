//! A producer and a viewer whose CLOCK_MONOTONIC differ: each is in a time namespace of its own.

use std::process::{Command, Stdio};

use gstreamer as gst;

use gst::prelude::*;

use crate::support::child::{Child, program};
use crate::support::pipelines::{camera, frame, viewer};
use crate::support::{Topic, until};

use super::moment;

/// A camera in a process whose clock is shifted; `None` where that is not permitted.
fn shifted(topic: &Topic, shift: &str) -> Option<Child> {
    let unshare = ["--time", "--fork", "--kill-child", shift];
    let may = Command::new("unshare").args(unshare).arg("true").stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("left out: no time namespaces for this user, or no unshare");
        return None;
    }
    let text = camera(topic, 64, "");
    let mut command = program("unshare");
    Some(Child::run(command.args(unshare).arg("gst-launch-1.0").args(text.split_whitespace())))
}

#[test]
fn frames_from_another_time_namespace_are_shown_at_the_moment_of_their_capture() {
    // Of a machine that is up for a shorter time the second is not permitted.
    for shift in ["--monotonic=1000000", "--monotonic=-20"] {
        let topic = Topic::new();
        let Some(_producer) = shifted(&topic, shift) else { return };
        let viewer = viewer(&topic, "");
        let now = || gst::SystemClock::obtain().time().nseconds();
        for _ in 0..30 {
            let sample = frame(&viewer);
            let age = now().abs_diff(moment(&viewer, &sample));
            assert!(age < 300_000_000, "{shift}: a frame of {age} ns ago, or to come");
        }
        assert_eq!(viewer.stat("src", "restamped"), 0, "{shift}");
        until("latency was measured", || viewer.stat("src", "latency-p50") > 0);
        assert!(viewer.stat("src", "latency-p50") < 5_000_000_000, "{shift}");
    }
}
