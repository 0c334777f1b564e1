//! The two commands, as typed, in either order, with a plain X display: the picture is there.

use gstreamer_video as gst_video;

use gst_video::prelude::*;

use crate::support::child::{Child, program};
use crate::support::screen::Screen;
use crate::support::{Running, Topic, have, until};

/// The colours at the given points.
fn colours(screen: &Screen, points: &[(usize, usize)]) -> Option<Vec<[u8; 3]>> {
    let shot = Running::playing(&format!(
        "ximagesrc display-name={} use-damage=false num-buffers=1 ! videoconvert ! video/x-raw,format=RGB ! appsink \
         name=out sync=false",
        screen.name
    ));
    let sample = shot.pull()?;
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
    let stride = usize::try_from(frame.plane_stride()[0]).ok()?;
    let data = frame.plane_data(0).ok()?;
    points.iter().map(|(x, y)| data.get(y * stride + x * 3..)?.first_chunk().copied()).collect()
}

#[test]
fn the_two_commands_show_the_colour_bars_in_either_order_and_again() {
    if !have(&["ximagesink", "ximagesrc", "autovideosink"]) {
        return;
    }
    let Some(screen) = Screen::new("640x480") else { return };
    let topic = Topic::new();
    let launch = |text: &str| {
        let mut command = program("gst-launch-1.0");
        command.args(text.split_whitespace()).env("SHMFLOW_DIR", topic.dir()).env("DISPLAY", &screen.name);
        Child::run(&mut command)
    };
    let sink = || launch("videotestsrc ! shmflowsink topic=video");
    let src = || launch("shmflowsrc topic=video ! autovideosink");
    // Seven bars over 320 pixels: white, yellow, cyan, green, magenta, red, blue.
    let points: Vec<_> = (0..7).map(|bar| (bar * 320 / 7 + 20, 60)).collect();
    let bars =
        [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255]];
    for sink_first in [true, false, true] {
        let (producer, viewer) = if sink_first {
            let producer = sink();
            (producer, src())
        } else {
            let viewer = src();
            (sink(), viewer)
        };
        let near = |colour: &[u8; 3], bar: &[u8; 3]| colour.iter().zip(bar).all(|(a, b)| a.abs_diff(*b) < 16);
        until("the bars are on the display", || {
            let colours = colours(&screen, &points).expect("a picture of the display");
            colours.iter().zip(&bars).all(|(colour, bar)| near(colour, bar))
        });
        producer.interrupt().well();
        viewer.interrupt().well();
        until("the window is gone", || {
            colours(&screen, &points).is_some_and(|colours| colours.iter().all(|colour| colour == &[0, 0, 0]))
        });
    }
    assert_eq!(topic.files(), Vec::<String>::new());
}
