//! The two commands, as typed, in either order, with a plain X display: the picture is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod support;

use std::io::Read;
use std::process::{Child, Command, Stdio};

use gstreamer_video as gst_video;

use gst_video::prelude::*;
use support::launched::Launched;
use support::{Running, Topic, until};

/// An X server without a screen that anyone sees.
struct Display {
    server: Child,
    name: String,
}

impl Display {
    /// `None`, saying so, where there is no Xvfb.
    fn new() -> Option<Self> {
        let server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut server) = server else {
            eprintln!("left out: there is no Xvfb");
            return None;
        };
        let mut number = String::new();
        let mut out = server.stdout.take().expect("piped");
        let mut byte = [0];
        while out.read(&mut byte).is_ok_and(|n| n == 1) && byte[0] != b'\n' {
            number.push(char::from(byte[0]));
        }
        assert!(!number.is_empty(), "Xvfb starts");
        Some(Self { server, name: format!(":{number}") })
    }

    /// The colours at the given points.
    fn pixels(&self, points: &[(usize, usize)]) -> Option<Vec<[u8; 3]>> {
        let shot = Running::playing(&format!(
            "ximagesrc display-name={} use-damage=false num-buffers=1 ! videoconvert ! video/x-raw,format=RGB \
             ! appsink name=out sync=false",
            self.name
        ));
        let sample = shot.pull()?;
        let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
        let stride = usize::try_from(frame.plane_stride()[0]).ok()?;
        let data = frame.plane_data(0).ok()?;
        points.iter().map(|(x, y)| data.get(y * stride + x * 3..)?.first_chunk().copied()).collect()
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn the_two_commands_show_the_colour_bars_in_either_order_and_again() {
    if !support::have(&["ximagesink", "ximagesrc", "autovideosink"]) {
        return;
    }
    let Some(display) = Display::new() else { return };
    let topic = Topic::new();
    let place = topic.dir().display().to_string();
    let environment =
        [("SHMFLOW_DIR", place.as_str()), ("DISPLAY", display.name.as_str()), ("G_DEBUG", "fatal-warnings")];
    let sink = || Launched::with("videotestsrc ! shmflowsink topic=video", &environment);
    let src = || Launched::with("shmflowsrc topic=video ! autovideosink", &environment);
    // Seven bars over 320 pixels: white, yellow, cyan, green, magenta, red, blue.
    let points: Vec<_> = (0..7).map(|bar| (bar * 320 / 7 + 20, 60)).collect();
    let bars =
        [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255]];
    for sink_first in [true, false, true] {
        let (mut producer, mut viewer) = if sink_first {
            let producer = sink();
            (producer, src())
        } else {
            let viewer = src();
            (sink(), viewer)
        };
        let near = |colour: &[u8; 3], bar: &[u8; 3]| colour.iter().zip(bar).all(|(a, b)| a.abs_diff(*b) < 16);
        until("the bars are on the display", || {
            let colours = display.pixels(&points).expect("a picture of the display");
            colours.iter().zip(&bars).all(|(colour, bar)| near(colour, bar))
        });
        producer.signal("INT");
        assert_eq!(producer.code(), Some(0));
        viewer.signal("INT");
        assert_eq!(viewer.code(), Some(0));
        until("the window is gone", || {
            display.pixels(&points).is_some_and(|colours| colours.iter().all(|colour| colour == &[0, 0, 0]))
        });
    }
    assert_eq!(topic.files(), Vec::<String>::new());
}
